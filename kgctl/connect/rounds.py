"""The rounds of a session: parse the cluster's state, apply it to this host, log and record it.

Every object is parsed once, when it changes. A refused claim is warned of once, and recorded for
``kgctl status``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from kgctl.connect.network import (
    Memory,
    NotAMemberError,
    Wanted,
    refuse_expired,
    wanted_of,
)
from kgctl.connect.renewal import SessionKeeper
from kgctl.connect.shared_addresses import Sharing
from kgctl.host.record import KnownPeer, KnownRefusal, Record
from kgctl.host.routes import TAKEN
from kgctl.mesh.guards import Reason
from kgctl.mesh.key import PublicKey
from kgctl.mesh.owners import Present
from kgctl.mesh.policy import Untold, summaries, unknown_names
from kgctl.mesh.text import some, time_text
from kgctl.state.objects import node_of, state_from, with_heartbeat
from kgctl.state.peer_objects import peer_name, peer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kgctl.connect.identity import Identity
    from kgctl.connect.interface import Options
    from kgctl.connect.journal import Journal
    from kgctl.connect.outside import Guarding
    from kgctl.connect.synchroniser import Change, Synchroniser
    from kgctl.host.names import Names
    from kgctl.host.record import RecordFile
    from kgctl.host.tunnel import Tunnel
    from kgctl.kube.objects import NodeObject
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import InvalidPeer, Peer
    from kgctl.mesh.policy import Refusal
    from kgctl.mesh.sightings import Sightings
    from kgctl.mesh.state import State
    from kgctl.state.interface import Objects
    from kgctl.wireguard.device import DeviceState


class Parser:
    """Parses objects to a ``State``; reuses what it parsed for the last one."""

    def __init__(self, topology_label: str) -> None:
        self._label = topology_label
        self._nodes: dict[str, tuple[NodeObject, Node]] = {}
        self._peers: dict[str, tuple[Mapping[str, Any], Peer | InvalidPeer]] = {}

    def state(self, objects: Objects) -> State:
        """Parse new objects. Of two objects with the same name the later one counts."""
        known_nodes, self._nodes = self._nodes, {}
        known_peers, self._peers = self._peers, {}

        def node(source: NodeObject) -> Node:
            known = known_nodes.get(source.name)
            if known is None:
                known = source, node_of(source, topology_label=self._label)
            elif known[0] is not source:
                beat = with_heartbeat(known[1], known[0], source)
                known = source, beat or node_of(source, topology_label=self._label)
            self._nodes[source.name] = known
            return known[1]

        def peer(source: Mapping[str, Any]) -> Peer | InvalidPeer:
            name = peer_name(source)
            known = known_peers.get(name)
            if known is None or known[0] is not source:
                known = source, peer_of(source)
            self._peers[name] = known
            return known[1]

        return state_from(objects, node, peer)


_MOST_KEPT = 1000
_NETWORKS = 100


class Refusals:
    """Warns once of each claimer, network and reason, unless the user asked for the refusal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._untold = Untold()
        self._last: Sequence[Refusal] = ()
        self.known: tuple[KnownRefusal, ...] = ()

    def report(self, refusals: Sequence[Refusal]) -> None:
        """Record all current refusals, and warn of new ones."""
        if refusals == self._last:
            return
        self._last = refusals
        self.known = known_refusals(refusals)
        new = self._untold.pick(refusals)
        for one in filter(_is_route, new):
            network = one.claim.network.masked()
            self._journal.warn("route refused", route=network, reason=TAKEN, claimer=one.claimer)
        for summary in summaries(one for one in new if not _is_route(one)):
            first = summary.first
            consent = {"accept": summary.consent} if summary.consent else {}
            self._journal.warn(
                "refused a claim",
                claimer=first.claimer,
                networks=summary.networks,
                reason=first.why,
                **consent,
            )


def _is_route(refusal: Refusal) -> bool:
    """Return whether the network equals a route of this host, rather than being a part of it."""
    network, guard = refusal.claim.network.masked(), refusal.guard
    return refusal.reason is Reason.OWN and guard is not None and guard.network == network


def known_refusals(refusals: Sequence[Refusal]) -> tuple[KnownRefusal, ...]:
    """Return refusals for the record, grouped by claimer and reason, limited in number."""
    return tuple(
        KnownRefusal(
            claimer=one.first.claimer,
            reason=str(one.first.reason),
            message=str(one),
            networks=tuple(str(each.claim.network.masked()) for each in one.refusals[:_NETWORKS]),
            count=len(one.refusals),
            expected=one.first.is_expected,
        )
        for one in summaries(refusals)[:_MOST_KEPT]
    )


_NAMED = 5  # nodes in one line of the log
_SIGHTINGS = 16  # of one peer that are recorded


def _known_peer(
    name: str, wanted: Endpoint | None, given: Endpoint | None, problem: str, seen: Sightings
) -> KnownPeer:
    return KnownPeer(
        name=name,
        wanted_endpoint=str(wanted or ""),
        endpoint=str(given or ""),
        problem=problem,
        annotated_endpoint=str(seen.annotated or ""),
        sightings={
            str(endpoint): list(names[:_NAMED])
            for endpoint, names in islice(seen.seen.items(), _SIGHTINGS)
        },
    )


class _Receivers(Mapping["Cidr", PublicKey]):
    """The key of the peer that has each network of a device, found when it is first asked for."""

    def __init__(self, state: DeviceState) -> None:
        self.state = state

    @cached_property
    def _keys(self) -> dict[Cidr, PublicKey]:
        peers = self.state.peers.items()
        return {cidr: key for key, peer in peers for cidr in peer.allowed_ips}

    def __getitem__(self, network: Cidr) -> PublicKey:
        return self._keys[network]

    def __iter__(self) -> Iterator[Cidr]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    __eq__, __hash__ = object.__eq__, object.__hash__  # another state may have other ones


class Rounds:
    """The rounds of a session that has joined. ``file`` records every configured peer.

    ``clock`` returns Unix seconds. ``expires_at`` is when the next peer expires.
    """

    def __init__(
        self,
        options: Options,
        identity: Identity,
        tunnel: Tunnel,
        synchroniser: Synchroniser,
        guarding: Guarding,
        names: Names,
        file: RecordFile,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self.expires_at = float("inf")
        self._over: int | None = None
        self._options = options
        self.identity = identity
        self._tunnel = tunnel
        self._synchroniser = synchroniser
        self._guarding = guarding
        self._refusals = Refusals(journal)
        self._has_looked = False
        self._has_named = False
        self._memory = Memory()
        self._receivers: _Receivers | None = None
        self._known: dict[PublicKey, tuple[object, str, KnownPeer]] = {}
        self._names = names
        self._problems_recorded = 0
        self._file = file
        self._journal = journal
        self._parser = Parser(options.topology_label)
        self._wanted: Wanted | None = None
        self._sharing = Sharing()
        self._shared: frozenset[str] = frozenset()
        self._doubts: frozenset[str] = frozenset()
        self.keeper = SessionKeeper(tunnel, synchroniser, journal)

    @property
    def device_writes(self) -> int:
        """The number of writes to the device."""
        return self._synchroniser.device_writes

    @property
    def route_writes(self) -> int:
        """The number of routes written."""
        return self._synchroniser.route_writes

    def forget(self) -> None:
        """Forget what was applied: the interface is a new one."""
        self._synchroniser.forget()
        self._has_looked = False

    def apply(self, objects: Objects, now: float, *, whole: bool) -> None:
        """Apply the wanted state to this host; heartbeats are judged at ``now``.

        Peers expire by the clock, which goes on while heartbeats are judged as of an earlier time.

        Raises:
            KgctlError: the round failed.
        """
        with self._synchroniser.breakable():
            state, clock = self._parser.state(objects), self._clock()
        self.expires_at = state.next_expiry(clock)
        own = state.peer(self._options.name)
        if own is not None:
            self._over = own.settings.expires
            refuse_expired(own, clock)
        state = state.unexpired(clock)
        if own is None and self.identity.membership.ours:
            self._rejoin(objects, clock)
        elif own is not None and own.public_key not in (None, self.identity.application.public_key):
            self._follow_key()
        wanted = self._wanted_of(state, now, whole=whole)
        change = self._synchroniser.apply(
            wanted, self._tunnel.device, self._tunnel.routes, now=time.time(), whole=whole
        )
        if change is not None:
            self._report(wanted, change)
            self._refusals.report(wanted.refusals)
            self._report_shared(state)
            self._report_doubts(wanted)
        self._report_unknown(state)
        if self._wanted is not None:
            self.keeper.network_changed(self._wanted, wanted)
        self._wanted = wanted
        problems_changed = self._names.problems_changed
        if change or whole or problems_changed != self._problems_recorded:
            self._problems_recorded = problems_changed
            self._keep_record(wanted)

    def _wanted_of(self, state: State, now: float, *, whole: bool) -> Wanted:
        """Return the wanted state; a ``whole`` round reads this host's surroundings first."""
        if whole or not self._has_looked:
            table = self._synchroniser.survey(self._tunnel.routes)
            self._guarding.here = self._tunnel.surroundings(table)
            self._has_looked = True
        present = self._present()
        with self._synchroniser.breakable():
            return wanted_of(
                state,
                name=self._options.name,
                now=now,
                granularity=self._options.granularity,
                extra=self._options.extra,
                limits=self._options.limits,
                guards=self._guarding.guards(),
                present=present,
                memory=self._memory,
            )

    def _present(self) -> Present:
        """Return the peers that this host is set up for: its device, and the name of each key."""
        state = self._synchroniser.state
        if state is None:  # the device of another kgctl counts as well
            state = self._tunnel.device.read()
        if self._wanted is not None:
            names = self._wanted.names
        else:
            record = self._file.read()
            known = record.peers.items() if record is not None else ()
            found = ((PublicKey.parse(text), peer.name) for text, peer in known)
            names = {key: name for key, name in found if key is not None}
        if self._receivers is None or self._receivers.state is not state:
            self._receivers = _Receivers(state)
        return Present(names, self._receivers)

    def _rejoin(self, objects: Objects, clock: float) -> None:
        """Create this host's Peer again if somebody deleted it, unless its time is over.

        Raises:
            NotAMemberError: its time is over.
        """
        if any(peer_name(peer) == self._options.name for peer in objects.peers):
            return
        if self._over is not None and self._over <= clock:
            raise NotAMemberError(
                f'the Peer "{self._options.name}" expired {time_text(self._over)} and was deleted, '
                "so it is not created again"
            )
        for message, values in self.identity.enter_again():
            self._journal.warn(message, **values)

    def _follow_key(self) -> None:
        """Use the new key of this host's Peer, if its private key is available."""
        before, self.identity = (
            self.identity,
            self.identity.with_key_of_peer(self._options.private_key),
        )
        if self.identity is before:
            return
        self._synchroniser.take_key(self.identity.private_key)
        self._journal.warn(
            "the peer's key changed to that of the private key file: using it",
            peer=self._options.name,
            key=self.identity.application.public_key,
        )

    # --- reports ---

    def known_peers(self) -> dict[str, KnownPeer]:
        """Return each peer as of the last round, by public key."""
        return {} if self._wanted is None else self._known_peers(self._wanted)

    def report_unresolved(self) -> None:
        """Log the endpoints whose names cannot be resolved."""
        for known in self.known_peers().values():
            if known.problem:
                self._journal.warn("endpoint unresolved", name=known.name, err=known.problem)

    def _report(self, wanted: Wanted, change: Change) -> None:
        if change.excluded:
            self._journal.warn(
                "kept addresses out of the tunnel that the tunnel or kgctl itself needs",
                addresses=", ".join(map(str, change.excluded)),
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

    def _report_shared(self, state: State) -> None:
        """Warn of addresses of this host that others have too; once for each text."""
        found = self._sharing.look(state, self._options.name, self.identity.addresses)
        sentences = frozenset(map(self._journal.worded, found))
        for sentence in sorted(sentences - self._shared):
            self._journal.warn(sentence)
        self._shared = sentences

    def _report_doubts(self, wanted: Wanted) -> None:
        """Warn once of each segment whose leader is unknown."""
        for segment in sorted(wanted.doubts.keys() - self._doubts):
            self._journal.warn(
                "an endpoint is a name, and no wireguard-ip shows which node leads the segment: "
                "it may be unreachable",
                segment=segment,
                nodes=some(wanted.doubts[segment], _NAMED),
            )
        self._doubts = frozenset(wanted.doubts)

    def _report_unknown(self, state: State) -> None:
        """Warn once, at the first round, of names in the user's limits that nobody has."""
        if not self._has_named:
            self._has_named = True
            for unknown in unknown_names(self._options.limits, state.names):
                self._journal.warn(self._journal.worded(unknown))

    def _keep_record(self, wanted: Wanted) -> None:
        record = self._file.read() or Record(interface=self._options.interface)
        key = str(self.identity.application.public_key) if record.peer else ""
        known = self._known_peers(wanted)
        fresh = replace(
            record,
            pid=os.getpid(),
            peer_key=key,
            peers=known,
            refusals=self._refusals.known,
        )
        if fresh != record:
            self._file.write(fresh)

    def _known_peers(self, wanted: Wanted) -> dict[str, KnownPeer]:
        given, dialled = self._synchroniser.given, self._synchroniser.dialled
        before, self._known = self._known, {}
        for section in wanted.peers:
            key = section.public_key
            endpoint = dialled.get(key)
            asked = (
                wanted.names.get(key, ""),
                endpoint,
                given.get(key),
                self._problem(endpoint),
                wanted.sightings_of(section),
            )
            known = before.get(key)
            if known is None or known[0] != asked:
                known = asked, str(key), _known_peer(*asked)
            self._known[key] = known
        return {text: peer for _, text, peer in self._known.values()}

    def _problem(self, endpoint: Endpoint | None) -> str:
        """Return why the name of an endpoint cannot be resolved, or an empty string."""
        if endpoint is None or not isinstance(endpoint.host, str):
            return ""
        return self._names.problem(endpoint.host)
