"""The status of a tunnel's peers, and the reasons why one may not be connected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kgctl.mesh.dialability import Dialled, Scope, scope_of
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.mesh.sightings import Sightings
from kgctl.mesh.text import printable, some
from kgctl.wireguard.device import SESSION_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from kgctl.host.record import KnownPeer
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.wireguard.device import DevicePeer, DeviceState


_NAMED = 3  # nodes in one sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """One peer: ages in seconds (None: never), rates in bytes a second (None: not measured).

    ``reasons`` explain a missing connection, and are empty if there is one. ``sightings`` are the
    endpoints at which nodes report the peer; ``doubts`` name those that are contradicted.
    """

    name: str
    public_key: str
    endpoint: str
    wanted_endpoint: str
    handshake_age: float | None
    received: int
    sent: int
    receiving: float | None
    sending: float | None
    keepalive: int
    connected: bool
    reasons: tuple[str, ...]
    annotated_endpoint: str = ""
    sightings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the status for JSON, with names as in Kubernetes."""
        age = self.handshake_age
        return {
            "name": self.name,
            "publicKey": self.public_key,
            "endpoint": self.endpoint or None,
            "wantedEndpoint": self.wanted_endpoint or None,
            "lastHandshakeSecondsAgo": None if age is None else round(age, 1),
            "receivedBytes": self.received,
            "sentBytes": self.sent,
            "receivedBytesPerSecond": _rounded(self.receiving),
            "sentBytesPerSecond": _rounded(self.sending),
            "persistentKeepalive": self.keepalive,
            "connected": self.connected,
            "reasons": list(self.reasons),
            "annotatedEndpoint": self.annotated_endpoint or None,
            "sightings": [
                {"endpoint": endpoint, "nodes": list(names)}
                for endpoint, names in self.sightings.items()
            ],
        }


def _rounded(rate: float | None) -> int | None:
    return None if rate is None else round(rate)


def peer_statuses(
    state: DeviceState,
    known: Mapping[str, KnownPeer],
    *,
    now: float,
    source: Callable[[Address], Address | None],
    before: DeviceState | None = None,
    seconds: float = 0.0,
) -> list[PeerStatus]:
    """Return the status of every peer at ``now`` (Unix seconds), sorted by name.

    ``known`` is the recorded state by key. ``source`` returns the source address of this host for a
    destination. ``before`` is the device ``seconds`` ago, to compute rates.
    """
    found = []
    for key, peer in state.peers.items():
        past = before.peers.get(key) if before is not None and seconds > 0 else None
        told = known.get(str(key))
        found.append(_status(peer, told, past, now=now, seconds=seconds, source=source))
    return sorted(found, key=lambda one: (one.name, one.public_key))


def _status(
    peer: DevicePeer,
    told: KnownPeer | None,
    past: DevicePeer | None,
    *,
    now: float,
    seconds: float,
    source: Callable[[Address], Address | None],
) -> PeerStatus:
    age = max(0.0, now - peer.last_handshake) if peer.last_handshake else None
    connected = age is not None and age <= SESSION_SECONDS
    return PeerStatus(
        name=told.name if told else "",
        public_key=str(peer.public_key),
        endpoint=str(peer.endpoint or ""),
        wanted_endpoint=told.wanted_endpoint if told else "",
        handshake_age=age,
        received=peer.received,
        sent=peer.sent,
        receiving=None if past is None else max(0, peer.received - past.received) / seconds,
        sending=None if past is None else max(0, peer.sent - past.sent) / seconds,
        keepalive=peer.persistent_keepalive,
        connected=connected,
        reasons=() if connected else tuple(_reasons(peer, told, source)),
        annotated_endpoint=told.annotated_endpoint if told else "",
        sightings=told.sightings if told else {},
        doubts=tuple(_doubts(told)) if told else (),
    )


def _doubts(told: KnownPeer) -> Iterator[str]:
    """Yield the sightings of a peer that something else contradicts."""
    seen = {
        endpoint: tuple(names)
        for text, names in told.sightings.items()
        if (endpoint := parse_endpoint(text)) is not None
    }
    own = told.annotated_endpoint
    for endpoint, names in Sightings(parse_endpoint(own), seen).contradicted().items():
        said = f"; its own annotation is {own}" if own else ""
        who = ("node " if len(names) == 1 else "nodes ") + some(
            [printable(name) for name in names], _NAMED
        )
        yield f"{who} claimed to see it at {endpoint}{said}"


def _reasons(
    peer: DevicePeer, told: KnownPeer | None, source: Callable[[Address], Address | None]
) -> list[str]:
    """Return the possible reasons for a missing connection, the likeliest first."""
    reasons = []
    wanted = parse_endpoint(told.wanted_endpoint) if told else None
    if told is not None and told.problem and peer.endpoint is None:
        reasons.append(f"its endpoint {told.wanted_endpoint} cannot be resolved: {told.problem}")
    elif peer.endpoint is None:
        reasons.append("it has no endpoint: it must connect first")
    else:
        reasons += _out_of_reach(wanted or peer.endpoint, peer.endpoint, source)
    if peer.persistent_keepalive == 0:
        reasons.append(
            "no keepalive: without traffic there is no handshake, and a NAT in between drops its "
            "mapping; set persistentKeepalive of the Peer"
        )
    elif peer.endpoint is not None and not reasons:
        reasons.append(
            "no answer from its endpoint: it is down, a firewall drops UDP, or it does not have "
            "this host's key"
        )
    return reasons


def _out_of_reach(
    wanted: Endpoint, present: Endpoint, source: Callable[[Address], Address | None]
) -> list[str]:
    """Return whether the peer, or both it and this host, are behind NAT, in words."""
    address = present.address or wanted.address
    if address is None:
        return []
    own = source(address)
    if own is None:
        return [f"this machine has no route to its endpoint {present}"]
    scope = scope_of(address)
    if scope.dialled is Dialled.ANYWHERE or scope is Scope.LOOPBACK:
        return []
    if scope.dialled is Dialled.NEVER:
        return [f"its endpoint {present} is {scope.words}: no other machine can dial it"]
    if scope_of(own).dialled is Dialled.ANYWHERE:
        return [f"its endpoint {present} is {scope.words}: it is behind NAT and must connect first"]
    return [
        f"its endpoint {present} is {scope.words}, and this host has {own}: if they are "
        "not on one network, both are behind NAT and cannot connect unless a node publishes their "
        "endpoints (kilo.squat.ai/discovered-endpoints, which needs a keepalive on both)"
    ]
