"""The actual and the wanted state of a WireGuard device, and the smallest change between them.

A peer that stays keeps its session: it is never removed and added again, its allowed IPs are
never emptied in between, and its endpoint stays unless the wanted endpoint has changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from kgctl.mesh.cidr import without_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PresharedKey, PublicKey
    from kgctl.wireguard.conf import PeerSection
    from kgctl.wireguard.keys import PrivateKey

SESSION_SECONDS = 180
"""Maximum age of a WireGuard session, its REJECT_AFTER_TIME (the WireGuard paper, section 6.1);
without a handshake after it there is no connection. A keepalive renews the session earlier."""


LISTEN_PORTS = range(1 << 16)
"""The UDP ports of a device, 16 bits in WireGuard's messages; 0 lets the system choose."""

FWMARKS = range(1 << 32)
"""The firewall marks of a device, 32 bits in these messages; 0 is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePeer:
    """The state of one peer of a device. ``last_handshake`` is in Unix seconds; 0 means never.

    ``endpoint`` has an IP address, since a device resolves no names; a link-local one has its zone.
    It is the destination of the next packet: configured, or the source of the last packet received.
    """

    public_key: PublicKey
    preshared_key: PresharedKey | None = None
    endpoint: Endpoint | None = None
    allowed_ips: frozenset[Cidr] = frozenset()
    persistent_keepalive: int = 0
    last_handshake: float = 0.0
    received: int = 0
    sent: int = 0


Made = dict["PublicKey", tuple["PeerSection", DevicePeer]]
_NONE: Mapping[PublicKey, DevicePeer] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """A device: its key, UDP port (0: none yet), firewall mark (0: none), and peers by key."""

    private_key: PrivateKey | None = None
    listen_port: int = 0
    fwmark: int = 0
    peers: Mapping[PublicKey, DevicePeer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerChange:
    """A change of one peer; None leaves a setting unchanged.

    ``add_allowed_ips`` takes them from the peers that have them; ``drop_preshared_key`` removes
    the key.
    """

    public_key: PublicKey
    new: bool = False
    endpoint: Endpoint | None = None
    persistent_keepalive: int | None = None
    preshared_key: PresharedKey | None = None
    drop_preshared_key: bool = False
    add_allowed_ips: tuple[Cidr, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return self == PeerChange(public_key=self.public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChange:
    """A change of a device, in this order; None leaves a setting unchanged.

    ``renew`` are peers to remove and add again at once, which restarts their sessions;
    ``drop_allowed_ips`` are removed from the peers that have them, which keep all others;
    ``remove`` are peers to remove.
    """

    private_key: PrivateKey | None = None
    listen_port: int | None = None
    peers: tuple[PeerChange, ...] = ()
    renew: tuple[PeerChange, ...] = ()
    drop_allowed_ips: tuple[Cidr, ...] = ()
    remove: tuple[PublicKey, ...] = ()

    def __bool__(self) -> bool:
        """Return whether it changes anything."""
        return self != DeviceChange()


def wanted_peers(
    sections: Iterable[PeerSection],
    endpoints: Mapping[PublicKey, Endpoint],
    own_key: PublicKey | None = None,
    made: Made | None = None,
) -> dict[PublicKey, DevicePeer]:
    """Return the peers that a device has after ``wg setconf`` with a configuration.

    Of two sections with the same key the later one counts, and an allowed IP belongs to the last
    section that claims it. ``endpoints`` are the addresses to dial; a key that is not in it gets
    none. A section with the device's own key is ignored, and claims nothing. ``made`` is a cache:
    a section that is the same object as before gives the same peer.
    """
    known, made = dict(made or {}), {} if made is None else made
    made.clear()
    for section in sections:
        key = section.public_key
        if key != own_key:
            made.pop(key, None)  # the later one also claims later
            made[key] = _made(section, endpoints.get(key), known.get(key))
    peers = {key: peer for key, (_, peer) in made.items()}
    claimed = [peer.allowed_ips for peer in peers.values()]
    if len(frozenset().union(*claimed)) < sum(map(len, claimed)):
        owner = {cidr: key for key, peer in peers.items() for cidr in peer.allowed_ips}
        peers = {
            key: _with_allowed(peer, {cidr for cidr in peer.allowed_ips if owner[cidr] == key})
            for key, peer in peers.items()
        }
    return peers


def _made(
    section: PeerSection, endpoint: Endpoint | None, known: tuple[PeerSection, DevicePeer] | None
) -> tuple[PeerSection, DevicePeer]:
    if known is not None and known[0] is section:
        if known[1].endpoint is endpoint or known[1].endpoint == endpoint:
            return known
        return section, replace(known[1], endpoint=endpoint)
    return section, DevicePeer(
        public_key=section.public_key,
        preshared_key=section.preshared_key,
        endpoint=endpoint,
        allowed_ips=frozenset(cidr.masked() for cidr in section.allowed_ips),
        persistent_keepalive=section.persistent_keepalive,
    )


def device_change(
    present: DeviceState,
    wanted: DeviceState,
    *,
    given: Mapping[PublicKey, Endpoint],
    now: float,
    settled: Mapping[PublicKey, DevicePeer] = _NONE,
) -> DeviceChange:
    """Return the smallest change from ``present`` to ``wanted``.

    ``given`` are the endpoints that were set before. A peer with another endpoint has roamed, and
    keeps it: the change sets its endpoint only if the wanted endpoint differs from the given one,
    or if the peer has no session at ``now`` (Unix seconds). ``settled`` are peers as they were
    wanted when ``present`` was made so: one that is the same object now needs no comparison.
    """
    keyed = wanted.private_key is not None and wanted.private_key != present.private_key
    ported = wanted.listen_port not in (0, present.listen_port)
    unsettled = {key: one for key, one in wanted.peers.items() if settled.get(key) is not one}
    changes = [
        _peer_change(present.peers.get(key), peer, given.get(key), now)
        for key, peer in unsettled.items()
    ]
    remove = tuple(key for key in present.peers if key not in wanted.peers)
    return DeviceChange(
        private_key=wanted.private_key if keyed else None,
        listen_port=wanted.listen_port if ported else None,
        peers=tuple(change for change in changes if not change.is_empty),
        drop_allowed_ips=_left_over(present, wanted, unsettled),
        remove=remove,
    )


def outward_change(
    present: DeviceState,
    wanted: DeviceState,
    *,
    given: Mapping[PublicKey, Endpoint],
    now: float,
    is_inside: Callable[[Endpoint | None], bool],
) -> DeviceChange:
    """Return the change as ``device_change`` does, but no peer keeps an endpoint that is inside.

    ``is_inside`` tells whether packets to an endpoint go into the device's own tunnel. WireGuard
    cannot take an endpoint away: a peer that is to have none is removed and added again.
    """
    looping = {key for key, peer in present.peers.items() if is_inside(peer.endpoint)}
    if not looping:
        return device_change(present, wanted, given=given, now=now)
    peers = dict(present.peers)
    for key in looping:
        peers[key] = replace(peers[key], endpoint=None)
    change = device_change(replace(present, peers=peers), wanted, given=given, now=now)
    silent = {
        key: peer for key, peer in wanted.peers.items() if key in looping and peer.endpoint is None
    }
    fresh = device_change(DeviceState(), DeviceState(peers=silent), given={}, now=now)
    kept = tuple(one for one in change.peers if one.public_key not in silent)
    return replace(change, peers=kept, renew=fresh.peers)


def _peer_change(
    present: DevicePeer | None, wanted: DevicePeer, given: Endpoint | None, now: float
) -> PeerChange:
    before = DevicePeer(public_key=wanted.public_key) if present is None else present
    missing = sorted(wanted.allowed_ips - before.allowed_ips, key=str)
    keepalive, preshared = wanted.persistent_keepalive, wanted.preshared_key
    return PeerChange(
        public_key=wanted.public_key,
        new=present is None,
        endpoint=wanted.endpoint if _moves(before, wanted.endpoint, given, now) else None,
        persistent_keepalive=None if keepalive == before.persistent_keepalive else keepalive,
        preshared_key=None if preshared == before.preshared_key else preshared,
        drop_preshared_key=preshared is None and before.preshared_key is not None,
        add_allowed_ips=tuple(missing),
    )


def _moves(before: DevicePeer, wanted: Endpoint | None, given: Endpoint | None, now: float) -> bool:
    """Return whether to set the endpoint.

    A wanted endpoint without a zone may have any: only the device knows the interface.
    """
    if wanted is None or wanted == before.endpoint or wanted == _without_zone(before.endpoint):
        return False
    if before.endpoint is None or (given is not None and wanted != given):
        return True
    return now - before.last_handshake > SESSION_SECONDS


def _without_zone(endpoint: Endpoint | None) -> Endpoint | None:
    address = None if endpoint is None else endpoint.address
    if endpoint is None or address is None:
        return endpoint
    return endpoint._replace(host=without_zone(address))


def _left_over(
    present: DeviceState, wanted: DeviceState, unsettled: Mapping[PublicKey, DevicePeer]
) -> tuple[Cidr, ...]:
    """Return the allowed IPs to remove from peers that stay, and that no other peer takes over."""
    left: set[Cidr] = set()
    for key, peer in unsettled.items():
        if key in present.peers:
            left |= present.peers[key].allowed_ips - peer.allowed_ips
    if left:
        left.difference_update(*(peer.allowed_ips for peer in wanted.peers.values()))
    return tuple(sorted(left, key=str))


def applied(state: DeviceState, change: DeviceChange) -> DeviceState:
    """Return ``state`` after ``change``, by WireGuard's rules: an allowed IP has one owner."""
    peers = dict(state.peers)
    _add(peers, change.peers)
    for one in change.renew:
        peers.pop(one.public_key, None)
    _add(peers, change.renew)
    _take(peers, change.drop_allowed_ips)
    for key in change.remove:
        peers.pop(key, None)
    return DeviceState(
        private_key=change.private_key or state.private_key,
        listen_port=state.listen_port if change.listen_port is None else change.listen_port,
        fwmark=state.fwmark,
        peers=peers,
    )


def _add(peers: dict[PublicKey, DevicePeer], changes: Sequence[PeerChange]) -> None:
    """Apply changes of peers: an allowed IP belongs to the last peer that claims it."""
    owner = {cidr: one.public_key for one in changes for cidr in one.add_allowed_ips}
    added: dict[PublicKey, set[Cidr]] = {one.public_key: set() for one in changes}
    for cidr, key in owner.items():
        added[key].add(cidr)
    _take(peers, owner)
    for one in changes:
        before = peers.get(one.public_key) or DevicePeer(public_key=one.public_key)
        peers[one.public_key] = _changed(before, one)
    for key, cidrs in added.items():
        if cidrs:
            peers[key] = _with_allowed(peers[key], peers[key].allowed_ips | cidrs)


def _take(peers: dict[PublicKey, DevicePeer], cidrs: Iterable[Cidr]) -> None:
    """Take allowed IPs from the peers that have them."""
    taken = frozenset(cidrs)
    if taken:
        holders = [one for one in peers.values() if not taken.isdisjoint(one.allowed_ips)]
        for one in holders:
            peers[one.public_key] = _with_allowed(one, one.allowed_ips - taken)


def _with_allowed(peer: DevicePeer, allowed_ips: AbstractSet[Cidr]) -> DevicePeer:
    return replace(peer, allowed_ips=frozenset(allowed_ips))


def _changed(peer: DevicePeer, change: PeerChange) -> DevicePeer:
    keepalive = change.persistent_keepalive
    preshared = None if change.drop_preshared_key else change.preshared_key or peer.preshared_key
    return replace(
        peer,
        endpoint=change.endpoint or peer.endpoint,
        persistent_keepalive=peer.persistent_keepalive if keepalive is None else keepalive,
        preshared_key=preshared,
    )
