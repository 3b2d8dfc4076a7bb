"""KG4xx: peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import ERROR, INFO, PEER, WARNING, Found, Rule
from kgctl.diagnosis.rules.agents import effect
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.mesh.cidr import single
from kgctl.mesh.comparison import Cause
from kgctl.mesh.readiness import age, why_peer_not_ready
from kgctl.mesh.text import printable, time_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.comparison import Unsettled
    from kgctl.mesh.peer import Peer

_P = 2**255 - 19
_LOW_ORDER = frozenset(
    number.to_bytes(32, "little")
    for number in (
        *(1, _P - 1, _P, _P + 1),
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
)
"""Points of small order on Curve25519 (https://cr.yp.to/ecdh.html): no handshake succeeds."""


def _invalid(facts: Facts) -> Iterator[Found]:
    for peer in facts.state.invalid_peers:
        if peer.only_kilo_accepts_it:  # KG109
            continue
        yield Found(
            PEER,
            peer.name,
            f"invalid: {', '.join(peer.problems)}",
            "agents that knew it while it was valid keep the old state until they restart, even "
            "if it is deleted; the others ignore it",
            f"kubectl edit peers.kilo.squat.ai {quoted(peer.name)}",
        )


def _not_ready(facts: Facts) -> Iterator[Found]:
    for peer in facts.state.peers:
        if peer.public_key is not None and not peer.allowed_ips:
            yield Found(
                PEER,
                peer.name,
                f"not ready: {', '.join(why_peer_not_ready(peer, facts.now))}",
                "no node lets it in",
                f"kgctl peer set {quoted(peer.name)} --allowed-ips ADDRESS/32",
            )


def _shadowed(facts: Facts) -> Iterator[Found]:
    first: dict[str, str] = {}
    for peer in facts.ready_peers:
        for cidr in peer.allowed_ips:
            owner = first.setdefault(str(cidr), peer.name)
            if owner != peer.name:
                yield Found(
                    PEER,
                    peer.name,
                    f"its allowed IP {cidr} is claimed by peer {printable(owner)}, which comes "
                    "first",
                    "packets for it go to the other peer",
                    f"give it one of its own: kgctl peer set {quoted(peer.name)} "
                    "--allowed-ips ADDRESS/32",
                )


def _host_bits(facts: Facts) -> Iterator[Found]:
    leaders = {
        (one.owner.name, one.network): one.leaders for one in _of_peers(facts, Cause.HOST_BITS)
    }
    for peer in facts.state.peers:
        for cidr in peer.allowed_ips:
            if cidr.network_value != int(cidr.address):
                found = leaders.get((peer.name, cidr))
                yield Found(
                    PEER,
                    peer.name,
                    f"its allowed IP {cidr} has host bits set: it stands for {cidr.masked()}",
                    "on every node the kernel refuses its route, and with it others"
                    + ("" if found is None else f"; {effect(found)}"),
                    f"kgctl peer set {quoted(peer.name)} --allowed-ips {_without_host_bits(peer)}",
                )


def _without_host_bits(peer: Peer) -> str:
    """Return the peer's allowed IPs, with single addresses for those with host bits."""
    whole = (cidr if cidr == cidr.masked() else single(cidr.address) for cidr in peer.allowed_ips)
    return ",".join(map(str, dict.fromkeys(whole)))


def _of_peers(facts: Facts, cause: Cause) -> list[Unsettled]:
    return [one for one in facts.unsettled[cause] if one.owner.kind == PEER]


def _default_route(facts: Facts) -> Iterator[Found]:
    for peer in facts.ready_peers:
        for cidr in peer.allowed_ips:
            if cidr.prefix == 0:
                yield Found(
                    PEER,
                    peer.name,
                    f"its allowed IP {cidr} is a default route",
                    "every leader sends to the peer all traffic without a narrower route",
                    "name the networks behind the peer; configure a client's gateway on the client",
                )


def _no_host(facts: Facts) -> Iterator[Found]:
    for peer in facts.ready_peers:
        for cidr in peer.allowed_ips:
            address = cidr.address
            broadcast = str(address) == "255.255.255.255"
            if cidr.host_bits == 0 and (broadcast or address.is_multicast or address.is_loopback):
                yield Found(
                    PEER,
                    peer.name,
                    f"its allowed IP {cidr} is a broadcast, multicast or loopback address",
                    "no machine can have it: no packet reaches the peer there",
                    "give it an address of a host",
                )


def _key_of_node(facts: Facts) -> Iterator[Found]:
    leaders = {one.owner.name: one.leaders for one in _of_peers(facts, Cause.KEY)}
    nodes = {node.key: node.name for node in reversed(facts.state.nodes) if node.key is not None}
    for peer in facts.state.peers:
        if peer.public_key in nodes:
            found = leaders.get(peer.name)
            yield Found(
                PEER,
                peer.name,
                f"its public key is that of node {printable(nodes[peer.public_key])}",
                "WireGuard identifies a peer by its key: node and peer take each other's traffic"
                + ("" if found is None else f"; {effect(found)}"),
                f"kgctl peer rotate {quoted(peer.name)}, or kgctl peer rm, if it is the node",
            )


def _key_twice(facts: Facts) -> Iterator[Found]:
    first: dict[object, str] = {}
    for peer in facts.ready_peers:
        owner = first.setdefault(peer.public_key, peer.name)
        if owner != peer.name:
            yield Found(
                PEER,
                peer.name,
                f"its public key is also that of peer {printable(owner)}",
                "WireGuard identifies a peer by its key: only one of the two gets its allowed IPs",
                f"kgctl peer rotate {quoted(peer.name)}, or merge the two Peers",
            )


def _weak_key(facts: Facts) -> Iterator[Found]:
    for peer in facts.state.peers:
        if peer.public_key is not None and peer.public_key.raw not in _LOW_ORDER:
            continue
        what = "all zero" if peer.public_key is None else "a point of small order, which is weak"
        yield Found(
            PEER,
            peer.name,
            f"its public key is {what}",
            "no handshake succeeds with it",
            f"kgctl peer rotate {quoted(peer.name)}",
        )


def _stale_node(facts: Facts) -> Iterator[Found]:
    """Yield peers that share an endpoint: one machine is there, so the other Peer is a leftover."""
    first: dict[object, str] = {}
    for segment in facts.segments:
        if segment.endpoint is not None:
            first.setdefault(segment.endpoint, f"{printable(segment.name)}")
    for peer in facts.ready_peers:
        if peer.endpoint is None:
            continue
        owner = first.setdefault(peer.endpoint, f"peer {printable(peer.name)}")
        if owner != f"peer {printable(peer.name)}":
            yield Found(
                PEER,
                peer.name,
                f"its endpoint {peer.endpoint} is also that of {owner}",
                "only one machine is there: one of the two is a leftover, such as a linked "
                "cluster's node that got another key",
                "write the peer again from the other cluster: kgctl showconf node NODE --as-peer "
                f"-o yaml; or kgctl peer rm {quoted(peer.name)}",
            )


def _no_keepalive(facts: Facts) -> Iterator[Found]:
    """Yield peers that can only call, since they have no endpoint, but agents do not let them."""
    calls = {one.owner.name: one for one in _of_peers(facts, Cause.CALLS)}
    for peer in facts.ready_peers:
        if peer.endpoint is None and peer.persistent_keepalive == 0:
            found = calls.get(peer.name)
            yield Found(
                PEER,
                peer.name,
                "it has no endpoint and no persistent keepalive"
                + ("" if found is None or found.seen is None else f", and calls from {found.seen}"),
                _of_calling(found),
                f"kgctl peer set {quoted(peer.name)} --persistent-keepalive 25",
            )


def _of_calling(found: Unsettled | None) -> str:
    if found is not None and found.seen is not None:
        return effect(found.leaders)
    return (
        "as soon as it connects, the agent of each leader that it calls rewrites its whole "
        "WireGuard device every 30 s, and each time all links of that leader break for 15 s"
    )


def _unknown_field(facts: Facts) -> Iterator[Found]:
    for name, clauses in sorted(facts.subject.unknown_fields.items()):
        for clause in clauses:
            yield Found(
                PEER,
                name,
                clause,
                "kubectl apply refuses the Peer; an API server that accepts it drops the field",
                "correct the manifest; kgctl peer validate -f FILE checks it before it is applied",
            )


_SOON = 7 * 86400
"""Seconds before its end at which a peer is reported."""


def _expires_soon(facts: Facts) -> Iterator[Found]:
    for peer in facts.ready_peers:
        end = peer.settings.expires
        if end is not None and end - facts.now <= _SOON:
            yield Found(
                PEER,
                peer.name,
                f"it expires {time_text(end)}, in {age(end - facts.now)}",
                "from then on it takes no part in the network",
                f"if it is to stay: kgctl peer set {quoted(peer.name)} --expires 30d",
            )


def _expired(facts: Facts) -> Iterator[Found]:
    in_cluster = facts.state.network is None
    for peer in facts.state.peers:
        if peer.is_expired(facts.now):
            yield Found(
                PEER,
                peer.name,
                f"it expired {time_text(peer.settings.expires or 0)}",
                "kgctl leaves it out, but nodes that Kilo's own agents run on let it in until it "
                "is deleted"
                if in_cluster
                else "new files leave it out, but machines with old files let it in until they "
                "get new ones",
                "kgctl peer prune; or, to let it in again, kgctl peer set "
                f"{quoted(peer.name)} --expires 30d",
            )


def _bad_setting(facts: Facts) -> Iterator[Found]:
    for peer in facts.state.peers:
        for problem in peer.settings.problems:
            yield Found(
                PEER,
                peer.name,
                problem,
                "kgctl takes it as absent, and does not do what it was set for",
                f"correct or remove it: kubectl edit peers.kilo.squat.ai {quoted(peer.name)}"
                if facts.state.network is None
                else "edit the machine's manifest: correct or remove the annotation",
            )


RULES = (
    Rule("KG401", "peer-invalid", ERROR, "Kilo leaves an invalid peer out.", _invalid),
    Rule("KG402", "peer-without-allowed-ips", WARNING, "A peer has no allowed IP.", _not_ready),
    Rule("KG403", "allowed-ip-shadowed", ERROR, "Another peer claims the same allowed IP.",
         _shadowed),
    Rule("KG404", "host-bits-set", ERROR, "An allowed IP has host bits.",
         _host_bits),
    Rule("KG405", "default-route", WARNING, "A peer's allowed IP is a default route.",
         _default_route),
    Rule("KG406", "no-host-address", WARNING, "An allowed IP is not the address of a host.",
         _no_host),
    Rule("KG407", "key-of-a-node", ERROR, "A peer has a node's public key.", _key_of_node),
    Rule("KG408", "key-of-two-peers", ERROR, "Two peers have the same public key.", _key_twice),
    Rule("KG409", "weak-key", ERROR, "A peer's public key is zero or weak.", _weak_key),
    Rule("KG410", "endpoint-twice", WARNING, "Two machines have the same endpoint.", _stale_node),
    Rule("KG411", "peer-without-keepalive", ERROR,
         "A peer without an endpoint has no keepalive.", _no_keepalive),
    Rule("KG413", "unknown-peer-field", WARNING, "A Peer has an unknown field.",
         _unknown_field),
    Rule("KG417", "peer-expires-soon", INFO, "A peer expires within seven days.", _expires_soon),
    Rule("KG418", "peer-expired", WARNING, "The time of a peer is over.", _expired),
    Rule("KG419", "peer-setting-unreadable", WARNING, "A setting of a peer does not parse.",
         _bad_setting),
)  # fmt: skip
