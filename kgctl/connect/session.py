"""A session: this host joins the network, stays on it, and leaves."""

from __future__ import annotations

import gc
import os
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from kgctl.connect import loop
from kgctl.connect.contact import Contact
from kgctl.connect.identity import Identity, establish
from kgctl.connect.loop import CHANGED, Inbox
from kgctl.connect.network import Wanted, wanted_of
from kgctl.connect.parsed import Parser
from kgctl.connect.schedule import Schedule
from kgctl.connect.synchroniser import Change, Synchroniser
from kgctl.host import resolver
from kgctl.host.errors import GoneError
from kgctl.host.names import Names
from kgctl.host.record import KnownPeer, Record
from kgctl.host.tunnel import Origin, Tunnel
from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.key import PublicKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kgctl.cluster.errors import ClusterError
    from kgctl.cluster.interface import Objects
    from kgctl.cluster.mirror import Listener
    from kgctl.connect.interface import Cluster, Copy, Options
    from kgctl.connect.journal import Journal
    from kgctl.connect.membership import PeerStore
    from kgctl.host.record import RecordFile

TICK = 10.0
"""Seconds between two looks at whether the API server was heard, where nothing else happens."""

_SMALL_COLLECTIONS = (700, 10, 10)
"""Python's own thresholds: kgctl raises them for commands that end after a second."""

_NAMES_SECONDS = 5.0  # that ``--once`` waits for endpoints to be resolved


class Session:
    """One ``kgctl connect``. ``file`` is locked by the caller.

    ``farewell`` gives the Peer objects to delete ours from, with little patience.
    """

    def __init__(
        self,
        options: Options,
        cluster: Cluster,
        file: RecordFile,
        journal: Journal,
        *,
        farewell: Callable[[], PeerStore],
    ) -> None:
        self._options = options
        self._cluster = cluster
        self._file = file
        self._journal = journal
        self._farewell = farewell
        self._inbox = Inbox()
        self._names = Names(lambda: self._inbox.put(CHANGED))
        self._contact = Contact()
        self._parser = Parser(options.topology_label)
        self._tunnel = Tunnel(options.interface, file)
        self._identity: Identity | None = None
        self._synchroniser: Synchroniser | None = None
        self._wanted: Wanted | None = None
        self._interruptible = False
        self.last_event = ""

    # --- what a view shows ---

    @property
    def tunnel(self) -> Tunnel:
        """The interface."""
        return self._tunnel

    def known_peers(self) -> dict[str, KnownPeer]:
        """Return what the network says of each peer, by public key, as of the last round."""
        return {} if self._wanted is None else self._known_peers(self._wanted)

    # --- the whole of it ---

    def once(self) -> None:
        """Join, apply what the network asks for, and leave it so.

        Raises:
            KgctlError: it did not succeed; what was made is taken back.
        """
        with self._signals(), self._taken_back_on_error():
            self._join()
            with self._may_be_interrupted():
                objects = self._cluster.read()
            self._apply(objects, time.time(), whole=True)
            if not self._names.settle(_NAMES_SECONDS):
                self._journal.warn("some endpoints are not resolved yet")
            self._apply(objects, time.time(), whole=True)
        self._report_unresolved()
        self._tunnel.dispose()

    def stay(
        self,
        copy: Callable[[Listener], Copy],
        *,
        tick: Callable[[], None] = lambda: None,
        every: float = TICK,
    ) -> None:
        """Join, follow the network until SIGINT or SIGTERM, and leave.

        Raises:
            KgctlError: it could not join; what was made is taken back.
        """
        with self._signals():
            with self._taken_back_on_error():
                self._join()
                ended = self._follow(copy(self), tick, every)
                self._journal.info("received signal, shutting down", signal=ended)
            self._leave()
        self._tunnel.dispose()

    def _follow(self, copy: Copy, tick: Callable[[], None], every: float) -> str:
        """Act on what happens, until a signal; return its name."""

        def ticked() -> None:
            if copy.heard:
                self._contact.heard(copy.heard)
            tick()

        gc.set_threshold(*_SMALL_COLLECTIONS)
        copy.start()
        self._journal.info("starting syncer")
        return loop.run(
            self._inbox,
            Schedule(self._options.period),
            lambda whole: self._round(copy, whole),
            tick=ticked,
            every=every,
        )

    # --- a mirror's listener ---

    def changed(self, kind: str, name: str) -> None:
        """Take note of a change; called from the threads that follow the cluster."""
        self._journal.debug("event", kind=kind, name=name)
        self.last_event = f"{kind}: {name}" if name else f"{kind} were read"
        self._inbox.put(CHANGED)

    def failed(self, kind: str, error: ClusterError, pause: float) -> None:
        """Say that the cluster cannot be followed; the tunnel goes on."""
        self.last_event = f"cannot follow {kind}: {error}"
        self._journal.warn(f"cannot follow {kind}", err=error, retry_in=f"{pause:.1f}s")

    # --- joining ---

    def _join(self) -> None:
        leftover = self._tunnel.leftover()
        record = self._file.read()
        with self._may_be_interrupted():
            self._identity = establish(self._options, self._cluster.peers(), record, leftover)
        identity = self._identity
        created = identity.found is None or identity.membership.ours
        self._file.write(
            replace(
                record or Record(interface=self._options.interface),
                pid=os.getpid(),
                peer=identity.membership.name if created else "",
                peer_key=str(identity.application.public_key) if created else "",
            )
        )
        with self._may_be_interrupted():
            for message, values in identity.enter():
                self._journal.info(message, **values)
        self._set_up()
        given = _given(record) if leftover is not None else {}
        self._synchroniser = Synchroniser(
            identity.private_key, self._options.listen_port, self._names, given
        )

    def _set_up(self) -> None:
        assert self._identity is not None
        addresses = self._identity.addresses
        origin = self._tunnel.open(mtu=self._options.mtu, addresses=addresses)
        log = self._journal.warn if origin is Origin.FOUND else self._journal.info
        log(origin.value, name=self._options.interface, index=self._tunnel.link.index)
        self._journal.info(
            "successfully set IP address of WireGuard interface",
            IP=", ".join(map(str, addresses)),
        )
        self._journal.info("set WireGuard interface up", MTU=self._options.mtu)
        for argv in self._resolver_commands():
            resolver.run(argv)
            self._journal.info("set up name resolution", command=" ".join(argv))

    def _resolver_commands(self) -> list[list[str]]:
        options = self._options
        return resolver.commands(options.interface, options.dns, options.search_domains)

    # --- rounds ---

    def _round(self, copy: Copy, whole: bool) -> bool:
        """Apply what is known of the network; tell whether that succeeded."""
        if copy.heard:
            self._contact.heard(copy.heard)
        objects = copy.read()
        if objects is None:
            return True  # its coming will be an event
        try:
            if whole:
                self._mend()
            self._apply(objects, self._contact.judged(time.time()), whole=whole)
        except KgctlError as error:
            self._forget_after(error)
            self._journal.error("failed to sync", err=error)
            self.last_event = f"failed to sync: {error}"
            return False
        return True

    def _forget_after(self, error: KgctlError) -> None:
        assert self._synchroniser is not None
        if isinstance(error, GoneError):
            self._synchroniser.forget()

    def _mend(self) -> None:
        """Have the interface again if somebody removed it, or its program died."""
        assert self._synchroniser is not None
        if self._tunnel.is_whole():
            return
        self._journal.warn("the interface was changed by somebody else, setting it up again")
        self._synchroniser.forget()
        self._set_up()

    def _apply(self, objects: Objects, now: float, *, whole: bool) -> None:
        assert self._synchroniser is not None
        assert self._identity is not None
        state = self._parser.state(objects)
        if self._identity.membership.ours and state.peer(self._options.name) is None:
            self._rejoin(objects)
        wanted = wanted_of(
            state,
            name=self._options.name,
            now=now,
            granularity=self._options.granularity,
            extra=self._options.extra,
        )
        change = self._synchroniser.apply(
            wanted, self._tunnel.device, self._tunnel.routes, now=time.time(), whole=whole
        )
        if change is not None:
            self._report(wanted, change)
        self._wanted = wanted
        if change or whole:
            self._keep_record(wanted)

    def _rejoin(self, objects: Objects) -> None:
        """Create our Peer again, when somebody deleted it."""
        assert self._identity is not None
        if any(
            peer.get("metadata", {}).get("name") == self._options.name for peer in objects.peers
        ):
            return
        for message, values in self._identity.enter_again():
            self._journal.warn(message, **values)

    def _report(self, wanted: Wanted, change: Change) -> None:
        if wanted.looping and (self._wanted is None or self._wanted.looping != wanted.looping):
            self._journal.warn(
                "left out routes to addresses at which peers are dialled: they would lead the "
                "tunnel into itself",
                routes=", ".join(map(str, wanted.looping)),
            )
        for refused in change.refused:
            self._journal.warn("route refused", route=refused.route, reason=refused.reason)
        if change or self._wanted is None:
            device, routes = change.device, change.routes
            self._journal.info(
                "synchronised",
                peers=len(wanted.peers),
                peers_changed=len(device.peers),
                peers_removed=len(device.remove),
                routes_added=len(routes.add),
                routes_replaced=len(routes.replace),
                routes_removed=len(routes.remove),
            )

    def _report_unresolved(self) -> None:
        for known in self.known_peers().values():
            if known.problem:
                self._journal.warn("endpoint unresolved", name=known.name, err=known.problem)

    def _keep_record(self, wanted: Wanted) -> None:
        record = self._file.read() or Record(interface=self._options.interface)
        fresh = replace(record, pid=os.getpid(), peers=self._known_peers(wanted))
        if fresh != record:
            self._file.write(fresh)

    def _known_peers(self, wanted: Wanted) -> dict[str, KnownPeer]:
        assert self._synchroniser is not None
        given = self._synchroniser.given
        return {
            str(section.public_key): KnownPeer(
                name=wanted.names.get(section.public_key, ""),
                wanted_endpoint=str(section.endpoint or ""),
                endpoint=str(given.get(section.public_key, "")),
                problem=self._names.problem(section.endpoint.host)
                if section.endpoint is not None and isinstance(section.endpoint.host, str)
                else "",
            )
            for section in wanted.peers
        }

    # --- leaving ---

    def _leave(self) -> None:
        if self._synchroniser is not None:
            self._journal.info(
                "wrote to this host",
                device_writes=self._synchroniser.device_writes,
                route_writes=self._synchroniser.route_writes,
            )
        if not self._options.clean_up:
            self._journal.info("left everything as it is", name=self._options.interface)
            self._tunnel.release()
            return
        self._clean_up()

    def _clean_up(self) -> None:
        troubles: list[str] = []

        def failed(what: str, error: KgctlError) -> None:
            troubles.append(what)
            self._journal.error(f"failed to {what}", err=error)

        if self._tunnel.touched:
            self._tunnel.close(failed)
            name = self._options.interface
            self._journal.info("cleaned up the interface and its routes", name=name)
        if self._identity is not None:
            try:
                if self._identity.leave(self._farewell()):
                    self._journal.info("deleted peer", peer=self._options.name)
            except KgctlError as error:
                failed("delete the peer", error)
        if not troubles and (self._tunnel.touched or self._tunnel.leftover() is None):
            self._file.remove()

    @contextmanager
    def _taken_back_on_error(self) -> Iterator[None]:
        """What another kgctl has left is not touched before it is taken over."""
        try:
            yield
        except BaseException:
            if self._identity is not None:
                self._leave()
            raise

    # --- signals ---

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Have SIGINT and SIGTERM end the session in good order."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: object) -> None:
        if self._interruptible:
            self._interruptible = False
            raise KeyboardInterrupt
        self._inbox.put(signal.Signals(number).name)

    @contextmanager
    def _may_be_interrupted(self) -> Iterator[None]:
        """Let a signal break off what waits for the API server; nothing half made depends on it."""
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False


def _given(record: Record | None) -> dict[PublicKey, Endpoint]:
    found = {}
    for text, peer in (record.peers if record else {}).items():
        key, endpoint = PublicKey.parse(text), parse_endpoint(peer.endpoint)
        if key is not None and endpoint is not None:
            found[key] = endpoint
    return found
