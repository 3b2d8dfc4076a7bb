"""Inputs that make agents rewrite their WireGuard devices over and over.

Every 30 seconds, and at each change, the agent of a leader compares its device with the wanted
state: all other segments, and all peers. If they differ, it rewrites the whole device, which drops
every session: all links of that leader break for 15 seconds. Some inputs make the two differ
permanently, since WireGuard stores less than it gets: it masks networks, assigns a network to the
last peer that claims it, identifies a peer by its key, and updates an endpoint to the source of
packets.

The comparison visits the peers in the order of their keys (as base64), and stops at a peer without
an endpoint on both sides: a peer that never connected hides the differences after it.

The rules come from the behaviour of Kilo 0.7's agent. The wanted states of all leaders differ only
in their own segment, so the work is that of sorting, and not leaders times peers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.claims import claims_of_segment, claims_to_locations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology


class Cause(Enum):
    """The reason why a device never matches the wanted state."""

    HOST_BITS = "host-bits"
    """WireGuard stores the network without host bits."""
    TWICE = "twice"
    """WireGuard stores the network once, at the last peer that claims it."""
    MOVED = "moved"
    """The endpoint is the source of packets, but must not change without a keepalive."""
    CALLS = "calls"
    """The peer has an endpoint once it calls, but none is wanted without a keepalive."""
    KEY = "key"
    """WireGuard identifies a peer by its key: it merges equal keys, and ignores its own."""
    KEEPALIVE = "keepalive"
    """WireGuard's keepalive is limited to 16 bits."""


class Owner(NamedTuple):
    """The origin of an input: a ``node`` or a ``peer``."""

    kind: str
    name: str


class Leaders(NamedTuple):
    """Leaders whose agents rewrite their devices ``now``: the count, and the first names.

    ``hidden`` counts the leaders that do not rewrite yet, because a peer that never connected,
    ``behind``, ends their comparison early. ``total`` counts all leaders of the network.
    """

    now: int
    names: tuple[str, ...]
    hidden: int = 0
    behind: str = ""
    total: int = 0

    @property
    def every(self) -> bool:
        """Whether each leader rewrites its device now, or will."""
        return self.now + self.hidden == self.total


class Unsettled(NamedTuple):
    """A permanent difference between the devices of some leaders and the wanted state.

    ``network`` is the network that differs, ``other`` the origin of the other claim or key,
    ``seen`` the endpoint that a device has.
    """

    cause: Cause
    owner: Owner
    leaders: Leaders
    network: Cidr | None = None
    other: Owner | None = None
    seen: Endpoint | None = None


_NOBODY = "~"  # sorts after all base64 text: no peer ends the comparison
_NAMED = 3  # leaders listed as examples; the rest is counted


class _Section(NamedTuple):
    """A peer on leaders' devices; ``number`` is the index of its segment, or -1 for a peer."""

    number: int
    key: str
    owner: Owner


class _Claim(NamedTuple):
    section: _Section
    owner: Owner
    network: Cidr


def unsettled(topology: Topology) -> Iterator[Unsettled]:
    """Yield the permanent differences of all devices, cause by cause."""
    comparison = Comparison(topology)
    yield from comparison.host_bits()
    yield from comparison.networks_twice()
    yield from comparison.endpoints()
    yield from comparison.keys_twice()
    yield from comparison.keepalives()


def hidden_change(before: Topology, after: Topology) -> Leaders | None:
    """Return the leaders whose agents may miss a change of the network, and the peer that hides it.

    They are counted in ``hidden``, and ``names`` lists the first of them. Return None if nothing
    changed, or if the number of peers changed, which every agent detects.
    """
    was, becomes = _wishes(before), _wishes(after)
    changed = [key for key in was.keys() | becomes.keys() if was.get(key) != becomes.get(key)]
    if not changed or len(was) != len(becomes):
        return None
    return Comparison(after).hiding(changed)


class Comparison:
    """The comparisons of all leaders of a network."""

    def __init__(self, topology: Topology) -> None:
        self._segments = topology.segments
        self._peers = topology.peers
        self._sections = [
            _Section(number, str(segment.key), Owner("node", segment.leader.name))
            for number, segment in enumerate(topology.segments)
        ]
        self._of_peers = [
            _Section(-1, str(peer.public_key), Owner("peer", peer.name)) for peer in topology.peers
        ]

    def hiding(self, keys: Collection[PublicKey]) -> Leaders:
        """Return the leaders that miss a change of the peers ``keys``, and the peer that hides it.

        They are counted in ``hidden``, and ``names`` lists the first; ``now`` counts the others.
        """
        numbers = {one.key: one.number for one in self._sections}
        texts = sorted(map(str, keys))
        hidden: list[int] = []
        for number, end in enumerate(self._ends):
            first = next((key for key in texts if numbers.get(key) != number), None)
            if first is not None and end < first:
                hidden.append(number)
        names = tuple(self._segments[number].leader.name for number in hidden[:_NAMED])
        behind = self._names[self._ends[hidden[0]]] if hidden else ""
        return self._leaders(len(self._segments) - len(hidden), names, len(hidden), behind)

    def host_bits(self) -> Iterator[Unsettled]:
        """Yield the networks with host bits."""
        for claim in self._claims:
            if int(claim.network.address) != claim.network.network_value:
                leaders = self._affected(claim.section.key, {claim.section.number})
                if leaders.now or leaders.hidden:
                    yield Unsettled(Cause.HOST_BITS, claim.owner, leaders, claim.network)

    def networks_twice(self) -> Iterator[Unsettled]:
        """Yield the networks that several peers of a device claim, or one peer twice."""
        by_network: defaultdict[Cidr, list[_Claim]] = defaultdict(list)
        for claim in self._claims:
            by_network[claim.network.masked()].append(claim)
        for network, claims in by_network.items():
            if len(claims) > 1:
                leaders = self._twice(claims)
                if leaders.now or leaders.hidden:
                    owner, other = claims[-1].owner, claims[0].owner
                    yield Unsettled(Cause.TWICE, owner, leaders, network, other)

    def endpoints(self) -> Iterator[Unsettled]:
        """Yield the machines without a keepalive that call from an unwanted endpoint."""
        found: defaultdict[_Section, list[tuple[int, Endpoint]]] = defaultdict(list)
        for number, segment in enumerate(self._segments):
            for key, seen in segment.leader.discovered_endpoints.items():
                section = self._unmoving.get(key)
                if section is None or section.number == number:
                    continue
                if not _same(self._wanted[key], seen):
                    found[section].append((number, seen))
        for key, section in self._unmoving.items():
            if section in found or self._wanted[key] is None:
                seen_by = found[section]
                leaders = self._among(section.key, [number for number, _ in seen_by])
                cause = Cause.CALLS if self._wanted[key] is None else Cause.MOVED
                where = seen_by[0][1] if seen_by else None
                yield Unsettled(cause, section.owner, leaders, seen=where)

    def keys_twice(self) -> Iterator[Unsettled]:
        """Yield the machines whose key another one has; this affects all leaders."""
        first: dict[str, _Section] = {}
        for section in (*self._sections, *self._of_peers):
            other = first.setdefault(section.key, section)
            if other is not section and self._segments:
                leaders = self._all
                yield Unsettled(Cause.KEY, section.owner, leaders, other=other.owner)

    def keepalives(self) -> Iterator[Unsettled]:
        """Yield the leaders whose keepalive exceeds WireGuard's range."""
        for number, segment in enumerate(self._segments):
            if segment.leader.excessive_keepalive is not None:
                keys = [one for one in self._first_keys if one.number != number]
                if keys:
                    compared = keys[0].key < self._ends[number]
                    leader = Owner("node", segment.leader.name)
                    names = (segment.leader.name,)
                    behind = "" if compared else self._names[self._ends[number]]
                    leaders = self._leaders(int(compared), names, int(not compared), behind)
                    yield Unsettled(Cause.KEEPALIVE, leader, leaders)

    @cached_property
    def _claims(self) -> list[_Claim]:
        """The allowed IPs of all peers of devices, in the order in which agents write them."""
        found = []
        for section, segment in zip(self._sections, self._segments, strict=True):
            claims = (*claims_of_segment(segment), *claims_to_locations(segment))
            found += [_Claim(section, Owner("node", one.name), one.network) for one in claims]
        for section, peer in zip(self._of_peers, self._peers, strict=True):
            found += [_Claim(section, section.owner, cidr) for cidr in peer.allowed_ips]
        return found

    @cached_property
    def _unmoving(self) -> dict[PublicKey, _Section]:
        """The peers of devices without a keepalive, whose discovered endpoints do not count."""
        found = {}
        for section, segment in zip(self._sections, self._segments, strict=True):
            if segment.leader.persistent_keepalive <= 0:
                found[segment.key] = section
        for section, peer in zip(self._of_peers, self._peers, strict=True):
            if peer.persistent_keepalive <= 0 and peer.public_key is not None:
                found.setdefault(peer.public_key, section)
        return found

    @cached_property
    def _wanted(self) -> dict[PublicKey, Endpoint | None]:
        """The annotated endpoints, by key."""
        found = {
            peer.public_key: peer.annotated_endpoint
            for peer in self._peers
            if peer.public_key is not None
        }
        return found | {segment.key: segment.leader.endpoint for segment in self._segments}

    @cached_property
    def _ends(self) -> list[str]:
        """The key at which the comparison of each segment's leader ends early."""
        silent = sorted(
            (str(peer.public_key), peer)
            for peer in self._peers
            if peer.public_key is not None and peer.annotated_endpoint is None
        )
        return [_end(segment.leader, silent) for segment in self._segments]

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {str(peer.public_key): peer.name for peer in self._peers}

    @cached_property
    def _by_end(self) -> list[tuple[str, int]]:
        """The leaders, sorted by the end of their comparison."""
        return sorted((end, number) for number, end in enumerate(self._ends))

    @cached_property
    def _first_keys(self) -> list[_Section]:
        """The two peers with the first keys: for each leader, one of them is not itself."""
        return sorted((*self._sections, *self._of_peers), key=lambda one: one.key)[:2]

    @property
    def _all(self) -> Leaders:
        names = tuple(segment.leader.name for segment in self._segments[:_NAMED])
        return self._leaders(len(self._segments), names)

    def _leaders(
        self, now: int, names: tuple[str, ...], hidden: int = 0, behind: str = ""
    ) -> Leaders:
        return Leaders(now, names, hidden, behind, len(self._segments))

    def _affected(self, key: str, but: Collection[int]) -> Leaders:
        """Return the leaders with a difference at ``key``: all except those of segments ``but``."""
        start = bisect_left(self._by_end, (key, -1))
        spared = [number for number in but if number >= 0]
        seen = sum(self._ends[number] >= key for number in spared)
        count = len(self._by_end) - start - seen
        hidden = start - (len(spared) - seen)
        names: list[str] = []
        for _, number in reversed(self._by_end[max(start, len(self._by_end) - _NAMED - 2) :]):
            if number not in but and len(names) < _NAMED:
                names.append(self._segments[number].leader.name)
        behind = self._names[self._by_end[0][0]] if hidden else ""
        return self._leaders(count, tuple(sorted(names)), hidden, behind)

    def _among(self, key: str, numbers: Sequence[int]) -> Leaders:
        """Return the leaders with a difference at ``key``, among ``numbers``."""
        seen = [number for number in numbers if self._ends[number] >= key]
        hidden = [number for number in numbers if self._ends[number] < key]
        names = [self._segments[number].leader.name for number in seen[:_NAMED]]
        behind = self._names[self._ends[hidden[0]]] if hidden else ""
        return self._leaders(len(seen), tuple(names), len(hidden), behind)

    def _twice(self, claims: Sequence[_Claim]) -> Leaders:
        """Return the leaders on whose devices a network with several claims differs."""
        times = Counter(claim.section for claim in claims)
        in_order = sorted(times, key=lambda section: section.key)
        written = list(dict.fromkeys(claim.section for claim in reversed(claims)))
        own = {section.number for section in times if section.number >= 0}
        differing = _first_differing(in_order, written[:1], times)
        outside = None if differing is None else self._affected(differing.key, own)
        inside: list[Leaders] = []
        for section in times:
            if section.number >= 0:
                kept = next((one for one in written if one is not section), None)
                left = _first_differing(in_order, [kept] if kept else [], times, but=section)
                if left is not None:
                    inside.append(self._among(left.key, [section.number]))
        parts = [outside, *inside] if outside else inside
        names = [name for part in parts if part.now for name in part.names][:_NAMED]
        behind = next((part.behind for part in parts if part.behind), "")
        now, hidden = sum(part.now for part in parts), sum(part.hidden for part in parts)
        return self._leaders(now, tuple(names), hidden, behind)


def _wishes(topology: Topology) -> dict[PublicKey, object]:
    """Return the wanted state of each peer of a device, without discovered endpoints."""
    found: dict[PublicKey, object] = {
        segment.key: (
            frozenset((*segment.allowed_ips, *segment.allowed_location_ips)),
            segment.leader.endpoint,
            segment.leader.persistent_keepalive > 0,
        )
        for segment in topology.segments
    }
    for peer in topology.peers:
        if peer.public_key is not None:
            moves, key = peer.persistent_keepalive > 0, peer.preshared_key
            networks = frozenset(peer.allowed_ips)
            found[peer.public_key] = (networks, peer.annotated_endpoint, moves, key)
    return found


def _first_differing(
    sections: Sequence[_Section],
    kept: Sequence[_Section],
    times: Mapping[_Section, int],
    but: _Section | None = None,
) -> _Section | None:
    """Return the first section by key that loses a claim in WireGuard."""
    for section in sections:
        if section is not but and (section not in kept or times[section] > 1):
            return section
    return None


def _end(leader: Node, silent: Sequence[tuple[str, Peer]]) -> str:
    """Return the first key of a peer without an endpoint, wanted or on the device."""
    for key, peer in silent:
        moves = peer.persistent_keepalive > 0
        if peer.endpoint is None if moves else peer.public_key not in leader.discovered_endpoints:
            return key
    return _NOBODY


def _same(wanted: Endpoint | None, seen: Endpoint) -> bool:
    """Return whether an endpoint may match the wanted one; a DNS name matches any address."""
    if wanted is None:
        return False
    return wanted.port == seen.port and wanted.address in (None, seen.address)
