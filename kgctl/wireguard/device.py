"""The actual and the wanted state of a WireGuard device, and the smallest change between them.

A peer that stays keeps its session: it is never removed and added again, its allowed IPs are
never emptied in between, and its endpoint stays unless the wanted endpoint has changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PresharedKey, PublicKey
    from kgctl.wireguard.conf import PeerSection
    from kgctl.wireguard.keys import PrivateKey

SESSION_SECONDS = 180
"""Maximum age of a WireGuard session, its REJECT_AFTER_TIME (the WireGuard paper, section 6.1);
without a handshake after it there is no connection. A keepalive renews the session earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePeer:
    """The state of one peer of a device. ``last_handshake`` is in Unix seconds; 0 means never.

    ``endpoint`` has an IP address, since a device resolves no names. It is the destination of the
    next packet: configured, or the source of the last packet received.
    """

    public_key: PublicKey
    preshared_key: PresharedKey | None = None
    endpoint: Endpoint | None = None
    allowed_ips: frozenset[Cidr] = frozenset()
    persistent_keepalive: int = 0
    last_handshake: float = 0.0
    received: int = 0
    sent: int = 0


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
) -> dict[PublicKey, DevicePeer]:
    """Return the peers that a device has after ``wg setconf`` with a configuration.

    Of two sections with the same key the later one counts, and an allowed IP belongs to the last
    section that claims it. ``endpoints`` are the addresses to dial; a key that is not in it gets
    none. A section with the device's own key is ignored, and claims nothing.
    """
    by_key: dict[PublicKey, PeerSection] = {}
    for section in sections:
        if section.public_key != own_key:
            by_key.pop(section.public_key, None)  # the later one also claims later
            by_key[section.public_key] = section
    owner = {cidr.masked(): key for key, one in by_key.items() for cidr in one.allowed_ips}
    allowed: dict[PublicKey, list[Cidr]] = {key: [] for key in by_key}
    for cidr, key in owner.items():
        allowed[key].append(cidr)
    return {
        key: DevicePeer(
            public_key=key,
            preshared_key=section.preshared_key,
            endpoint=endpoints.get(key),
            allowed_ips=frozenset(allowed[key]),
            persistent_keepalive=section.persistent_keepalive,
        )
        for key, section in by_key.items()
    }


def device_change(
    present: DeviceState,
    wanted: DeviceState,
    *,
    given: Mapping[PublicKey, Endpoint],
    now: float,
) -> DeviceChange:
    """Return the smallest change from ``present`` to ``wanted``.

    ``given`` are the endpoints that were set before. A peer with another endpoint has roamed, and
    keeps it: the change sets its endpoint only if the wanted endpoint differs from the given one,
    or if the peer has no session at ``now`` (Unix seconds).
    """
    keyed = wanted.private_key is not None and wanted.private_key != present.private_key
    ported = wanted.listen_port not in (0, present.listen_port)
    changes = [
        _peer_change(present.peers.get(key), peer, given.get(key), now)
        for key, peer in wanted.peers.items()
    ]
    remove = tuple(key for key in present.peers if key not in wanted.peers)
    return DeviceChange(
        private_key=wanted.private_key if keyed else None,
        listen_port=wanted.listen_port if ported else None,
        peers=tuple(change for change in changes if not change.is_empty),
        drop_allowed_ips=_left_over(present, wanted),
        remove=remove,
    )


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
    """Return whether to set the endpoint."""
    if wanted is None or wanted == before.endpoint:
        return False
    if before.endpoint is None or (given is not None and wanted != given):
        return True
    return now - before.last_handshake > SESSION_SECONDS


def _left_over(present: DeviceState, wanted: DeviceState) -> tuple[Cidr, ...]:
    """Return the allowed IPs to remove from peers that stay, and that no other peer takes over."""
    claimed = {cidr for peer in wanted.peers.values() for cidr in peer.allowed_ips}
    left = {
        cidr
        for key, peer in present.peers.items()
        if key in wanted.peers
        for cidr in peer.allowed_ips
        if cidr not in claimed
    }
    return tuple(sorted(left, key=str))


def applied(state: DeviceState, change: DeviceChange) -> DeviceState:
    """Return ``state`` after ``change``, by WireGuard's rules: an allowed IP has one owner.

    The work is linear in the allowed IPs of the device and of the change.
    """
    peers = dict(state.peers)
    owner = {cidr: key for key, peer in state.peers.items() for cidr in peer.allowed_ips}
    _add(peers, owner, change.peers)
    anew = {one.public_key for one in change.renew}
    for key in anew:
        peers.pop(key, None)
    owner = {cidr: key for cidr, key in owner.items() if key not in anew} if anew else owner
    _add(peers, owner, change.renew)
    for cidr in change.drop_allowed_ips:
        owner.pop(cidr, None)
    removed = frozenset(change.remove)
    allowed: dict[PublicKey, set[Cidr]] = {key: set() for key in peers}
    for cidr, key in owner.items():
        if key in allowed:
            allowed[key].add(cidr)
    return DeviceState(
        private_key=change.private_key or state.private_key,
        listen_port=state.listen_port if change.listen_port is None else change.listen_port,
        fwmark=state.fwmark,
        peers={
            key: peer if peer.allowed_ips == allowed[key] else _with_allowed(peer, allowed[key])
            for key, peer in peers.items()
            if key not in removed
        },
    )


def _add(
    peers: dict[PublicKey, DevicePeer],
    owner: dict[Cidr, PublicKey],
    changes: Iterable[PeerChange],
) -> None:
    """Apply changes of peers: an allowed IP belongs to the last peer that claims it."""
    for one in changes:
        before = peers.get(one.public_key) or DevicePeer(public_key=one.public_key)
        peers[one.public_key] = _changed(before, one)
        owner.update(dict.fromkeys(one.add_allowed_ips, one.public_key))


def _with_allowed(peer: DevicePeer, allowed_ips: set[Cidr]) -> DevicePeer:
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
