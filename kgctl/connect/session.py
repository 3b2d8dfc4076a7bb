"""A session of ``kgctl connect``: the host joins the network, stays connected, and leaves."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from kgctl.connect.departure import Departure
from kgctl.connect.identity import Identity, RejectedError, establish
from kgctl.connect.outside import Guarding, Servers
from kgctl.connect.rounds import Rounds
from kgctl.connect.schedule import (
    TICK,
    Deadline,
    Schedule,
    Signals,
    collect_often,
    keep_for_good,
    run,
)
from kgctl.connect.synchroniser import Synchroniser
from kgctl.errors import InterfaceGoneError, KgctlError, UnresponsiveError
from kgctl.host import names as resolver
from kgctl.host.names import Names
from kgctl.host.record import KnownPeer, Record, given_endpoints
from kgctl.host.tunnel import Origin, Tunnel
from kgctl.mesh.readiness import clock_trouble
from kgctl.state.follow import OUTAGE, Contact, Inbox
from kgctl.steady import steady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kgctl.connect.identity import PeerStore
    from kgctl.connect.interface import Cluster, Copy, Options
    from kgctl.connect.journal import Journal
    from kgctl.errors import ClusterError
    from kgctl.host.record import RecordFile
    from kgctl.kube.informer import Listener
    from kgctl.state.follow import Turn
    from kgctl.wireguard.device import DeviceState

_NAMES_SECONDS = 5.0  # for which ``--once`` waits for the resolution of endpoints


_LASTING = 2  # whole rounds after which what is held stays; after the first, changes may wait
_ENDED = "ended"  # ends the loop without a signal


class Session:
    """One session of ``kgctl connect``. The caller locks ``file``.

    ``rejected`` is the reason why nodes do not answer this host, or empty. ``farewell`` returns the
    Peer objects to delete this host's Peer from, with short timeouts.
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
        self._inbox = Inbox()
        self._signals = Signals(self._inbox)
        self._names = Names(lambda: self._inbox.changed("names"))
        self._contact = Contact()
        self._tunnel = Tunnel(options.interface, file)
        self._departure = Departure(self._tunnel, file, journal, farewell)
        self._identity: Identity | None = None
        self._rounds: Rounds | None = None
        self._servers: Servers | None = None
        self._guarding: Guarding | None = None
        self._ended: RejectedError | None = None
        self._whole_rounds = 0
        self.last_event = ""
        self.rejected = ""

    # --- for views ---

    @property
    def tunnel(self) -> Tunnel:
        """The interface."""
        return self._tunnel

    def known_peers(self) -> dict[str, KnownPeer]:
        """Return each peer as of the last round, by public key."""
        return {} if self._rounds is None else self._rounds.known_peers()

    # --- whole sessions ---

    def once(self) -> None:
        """Join, apply the wanted state once, and keep it in place.

        Raises:
            KgctlError: a step failed; the session cleaned up.
        """
        with self._signals.taken(), self._taken_back_on_error():
            rounds = self.join()
            with self._signals.interrupting():
                objects = self._cluster.read()
            rounds.apply(objects, time.time(), whole=True)
            with self._signals.interrupting():
                settled = self._names.settle(_NAMES_SECONDS)
            if not settled:
                self._journal.warn("some endpoints are not resolved yet")
            rounds.apply(objects, time.time(), whole=True)
        rounds.report_unresolved()
        self._tunnel.dispose()

    def stay(
        self,
        copy: Callable[[Listener], Copy],
        *,
        tick: Callable[[], None] = lambda: None,
        every: float = TICK,
    ) -> None:
        """Join, follow the network until a signal comes, and leave.

        Raises:
            RejectedError: this host's Peer has a new key, which this host cannot get.
            KgctlError: joining failed. The session cleans up in both cases.
        """
        with self._signals.taken():
            with self._taken_back_on_error():
                rounds = self.join()
                ended = self._follow(copy(self), rounds.keeper, tick, every)
                if self._ended is not None:
                    raise self._ended
                self._journal.info("received signal, shutting down", signal=ended)
            self.leave()
        self._tunnel.dispose()

    def _follow(self, copy: Copy, timer: Turn, tick: Callable[[], None], every: float) -> str:
        """Run the loop until a signal comes; return its name."""

        def ticked() -> None:
            self._hear(copy)
            tick()

        collect_often()
        copy.start()
        self._journal.info("starting syncer")
        return run(
            self._inbox,
            Schedule(self._options.period),
            lambda whole: self.act(copy, whole=whole),
            tick=ticked,
            every=every,
            timers=(timer, Deadline(self._expires_in, lambda: self.act(copy, whole=False))),
        )

    # --- the informers' listener ---

    def changed(self, kind: str, name: str) -> None:
        """Record a change; the informers' threads call this."""
        self._journal.debug("event", kind=kind, name=name)
        self.last_event = f"{kind}: {name}" if name else f"{kind} were read"
        self._inbox.changed(kind)

    def failed(self, kind: str, error: ClusterError, pause: float) -> None:
        """Log that the cluster cannot be followed; the tunnel keeps working."""
        self.last_event = f"cannot follow {kind}: {self._journal.worded(error)}"
        self._journal.warn(f"cannot follow {kind}", err=error, retry_in=f"{pause:.1f}s")
        if self._servers is not None:
            self._servers.look_up_again()

    # --- joining ---

    def join(self) -> Rounds:
        """Create the Peer and the interface, and return the rounds that keep them up to date.

        Raises:
            KgctlError: a step failed; ``leave`` cleans up.
            KeyboardInterrupt: a signal came while kgctl waited for the API server.
        """
        if self._resolver_commands():
            resolver.require()
        leftover, record = self._leftover(), self._file.read()
        self._tunnel.check(mtu=self._options.mtu)  # before the Peer is created
        with self._signals.interrupting():
            identity = establish(self._options, self._cluster.peers(), record, leftover)
        self._identity = identity
        self._note(identity, record)
        with self._signals.interrupting():
            for message, values in identity.enter():
                self._journal.info(message, **values)
        if trouble := clock_trouble(self._cluster.clock_ahead()):
            self._journal.warn(f"{trouble}, and heartbeats are judged by it: set it")
        self._set_up(identity)
        given = given_endpoints(record) if leftover is not None else {}
        self._servers = Servers(self._cluster.host(), self._names)
        self._guarding = guarding = Guarding(self._options, self._servers)
        synchroniser = Synchroniser(
            identity.private_key,
            self._options.listen_port,
            self._names,
            given,
            outside=guarding.outside,
            stopped=self._signals.came,
            breakable=self._signals.interrupting,
        )
        self._rounds = Rounds(
            self._options,
            identity,
            self._tunnel,
            synchroniser,
            guarding,
            self._names,
            self._file,
            self._journal,
        )
        return self._rounds

    def _leftover(self) -> DeviceState | None:
        """Return the device that another kgctl left; remove one that does not answer."""
        try:
            return self._tunnel.leftover()
        except UnresponsiveError as error:
            self._journal.warn("removing a leftover interface that does not answer", err=error)
            self._tunnel.discard()
            return None

    def _note(self, identity: Identity, record: Record | None) -> None:
        """Record the Peer that is about to be created, in case kgctl is killed meanwhile."""
        created = identity.found is None or identity.membership.ours
        self._file.write(
            replace(
                record or Record(interface=self._options.interface),
                pid=os.getpid(),
                peer=identity.membership.name if created else "",
                peer_key=str(identity.application.public_key) if created else "",
            )
        )

    def _set_up(self, identity: Identity) -> None:
        addresses = identity.addresses
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

    def act(self, copy: Copy, *, whole: bool) -> bool:
        """Apply the current copy of the cluster; return whether that succeeded."""
        assert self._rounds is not None
        self._hear(copy)
        objects = copy.read()
        if objects is None:
            return True  # an event follows when it is complete
        try:
            if whole:
                self._look_for_server()
                self._mend(self._rounds)
            self._rounds.apply(objects, self._judged(), whole=whole)
        except KgctlError as error:
            self._take_failure(error, self._rounds)
            return False
        except KeyboardInterrupt:  # a signal interrupted the round
            self._inbox.end(self._signals.name)
            return True
        self.rejected = ""
        self._whole_rounds += whole
        if whole and self._whole_rounds == _LASTING:
            keep_for_good()
        return True

    def _hear(self, copy: Copy) -> None:
        if copy.heard:
            self._contact.heard(copy.heard, copy.heard_steady)
        if self._guarding is not None:
            self._guarding.silence = self._contact.silence(steady())

    def _look_for_server(self) -> None:
        """Resolve the API server's name while it is silent: it may have moved."""
        if self._servers is not None and self._contact.silence(steady()) > OUTAGE:
            self._servers.look_up_again()

    def _expires_in(self) -> float:
        """Return the seconds until the next peer expires; no API server is needed for it."""
        return float("inf") if self._rounds is None else self._rounds.expires_at - time.time()

    def _judged(self) -> float:
        """Return the time at which heartbeats are judged."""
        return self._contact.judged(time.time(), steady())

    def _take_failure(self, error: KgctlError, rounds: Rounds) -> None:
        if isinstance(error, InterfaceGoneError):
            rounds.forget()
        if isinstance(error, RejectedError):
            self.rejected = self._journal.worded(error)
            if error.final:
                self._ended = error
                self._inbox.end(_ENDED)
        if isinstance(error, UnresponsiveError) and self._tunnel.is_ours():
            self._journal.warn("the interface does not answer, setting it up again", err=error)
            self._tunnel.discard()
            rounds.forget()
        self._journal.error("failed to sync", err=error)
        self.last_event = f"failed to sync: {self._journal.worded(error)}"

    def _mend(self, rounds: Rounds) -> None:
        """Set the interface up again if somebody removed it, or if its program died."""
        if self._tunnel.is_whole():
            return
        self._journal.warn("the interface was changed by somebody else, setting it up again")
        rounds.forget()
        self._set_up(rounds.identity)

    # --- leaving ---

    def leave(self) -> None:
        """Clean up what the session created, unless the options disable that."""
        if self._rounds is not None:
            self._identity = self._rounds.identity
            self._journal.info(
                "wrote to this host",
                device_writes=self._rounds.device_writes,
                route_writes=self._rounds.route_writes,
            )
        if self._options.clean_up:
            self._departure.clean_up(self._identity, resolving=bool(self._resolver_commands()))
            return
        self._journal.info("left everything as it is", name=self._options.interface)
        self._tunnel.release()

    @contextmanager
    def _taken_back_on_error(self) -> Iterator[None]:
        """Leave on errors; what another kgctl left stays untouched until this one takes it over."""
        try:
            yield
        except BaseException:
            if self._identity is not None:
                self.leave()
            raise
