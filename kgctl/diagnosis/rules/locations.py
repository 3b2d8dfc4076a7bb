"""KG301 to KG308: leaders, endpoints, NAT and allowed location IPs."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from kgctl.diagnosis.containment import Lookup, Used
from kgctl.diagnosis.facts import CROSS
from kgctl.diagnosis.finding import ERROR, LOCATION, NODE, PEER, WARNING, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.diagnosis.rules.reachability import called, is_never_dialled
from kgctl.kilo import PREFIX
from kgctl.mesh.cidr import single
from kgctl.mesh.claims import Use, claims_of_segment, claims_to_locations
from kgctl.mesh.dialability import is_dialable_from_elsewhere
from kgctl.mesh.overlap import nested as all_around
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.node import Node
    from kgctl.mesh.topology import Segment

_SHOWN_SEGMENTS = 3
_MOST_COMMANDED = 20  # nodes that a command lists; the next check reports the rest
_ENDPOINT = "endpoint"


def _is_private(endpoint: Endpoint | None) -> bool:
    """Return whether there is an endpoint that nobody elsewhere can dial."""
    return endpoint is not None and not is_dialable_from_elsewhere(endpoint)


def _keepalive_command(name: str) -> str:
    return f"kubectl annotate node {quoted(name)} --overwrite {PREFIX}persistent-keepalive=25"


def _endpoint_command(name: str) -> str:
    return f"kubectl annotate node {quoted(name)} --overwrite {PREFIX}force-endpoint=ADDRESS:51820"


def _unreachable(facts: Facts) -> list[Segment]:
    """Return the segments that nobody outside can dial, judging by annotations."""
    return [segment for segment in facts.segments if _is_private(segment.endpoint)]


def _private_endpoint(facts: Facts) -> Iterator[Found]:
    if len(facts.segments) < 2 and not facts.ready_peers:
        return
    for segment in _unreachable(facts):
        if segment.endpoint is None or is_never_dialled(segment.endpoint):
            continue  # KG309
        if segment.leader.persistent_keepalive > 0:
            yield Found(
                LOCATION,
                segment.name,
                f"its leader {printable(segment.leader.name)} has {called(segment.endpoint)}, "
                "and no public one was discovered",
                "it cannot be dialled from elsewhere: links come up when it dials, or never",
                f"if it has a public address, set it: {_endpoint_command(segment.leader.name)}",
            )


def _both_behind_nat(facts: Facts) -> Iterator[Found]:
    before: dict[str, list[str]] = {}
    for number, segment in enumerate(_unreachable(facts)):
        # with the granularity cross a location has many segments, and no tunnel within it
        place = segment.leader.location if facts.granularity == CROSS else segment.name
        own = before.setdefault(place, [])
        count = number - len(own)
        others = [
            printable(name)
            for other, names in islice(before.items(), _SHOWN_SEGMENTS + 1)
            for name in names[:_SHOWN_SEGMENTS]
            if other != place
        ][:_SHOWN_SEGMENTS]
        own.append(segment.name)
        if not others:
            continue
        more = f" and {count - _SHOWN_SEGMENTS} more" if count > _SHOWN_SEGMENTS else ""
        yield Found(
            LOCATION,
            segment.name,
            f"it has a private endpoint, and so has {', '.join(others)}{more}",
            "unless a network of their own joins them, neither can dial the other: they never meet",
            "give one a public endpoint (a forwarded port): "
            f"{_endpoint_command(segment.leader.name)}; "
            "or make them one location, if they share a network",
        )


def _nat_without_keepalive(facts: Facts) -> Iterator[Found]:
    if len(facts.segments) < 2 and not facts.ready_peers:
        return
    for segment in _unreachable(facts):
        if segment.endpoint is None or is_never_dialled(segment.endpoint):
            continue  # KG309
        seen = facts.discovered.get(segment.key)
        if segment.leader.persistent_keepalive <= 0 and (seen is None or _is_private(seen)):
            yield Found(
                LOCATION,
                segment.name,
                f"its leader {printable(segment.leader.name)} has {called(segment.endpoint)}, "
                "and no persistent-keepalive",
                "behind NAT its links are lost after some 30 s of silence, and nobody can dial it",
                _keepalive_command(segment.leader.name),
            )


def _nat_seen(facts: Facts) -> Iterator[Found]:
    """Yield leaders behind NAT whose discovered endpoint is not used, for lack of a keepalive."""
    seen = facts.discovered
    for segment in facts.segments:
        found, own = seen.get(segment.key), segment.leader.endpoint
        if segment.leader.persistent_keepalive > 0 or found is None or found == own:
            continue
        if _is_private(own) and not _is_private(found):
            yield Found(
                LOCATION,
                segment.name,
                f"its leader {printable(segment.leader.name)} has {own}, but other nodes see it at "
                f"{found}: it is behind NAT, and has no persistent-keepalive",
                "without one Kilo ignores the discovered endpoint, and the link is soon lost",
                _keepalive_command(segment.leader.name),
            )


def _flag_ignored(facts: Facts) -> Iterator[Found]:
    for node in () if facts.never_ran else facts.state.nodes:
        if node.leader and not node.is_ready(facts.now):
            yield Found(
                NODE,
                node.name,
                "it has the leader flag, but is not ready",
                "another node of its location leads, or none",
                "make it ready, or flag another one",
            )
    for segment in facts.segments:
        leader = segment.leader
        if not leader.leader or not _has_public(leader):
            continue
        for node in segment.nodes:
            if node.leader and not _has_public(node):
                yield Found(
                    NODE,
                    node.name,
                    f"its leader flag is ignored: {printable(leader.name)} has one too, and a "
                    "public endpoint",
                    f"{printable(leader.name)} leads {printable(segment.name)}",
                    f"kubectl annotate node {quoted(node.name)} {PREFIX}leader-",
                )


def _has_public(node: Node) -> bool:
    return node.endpoint is not None and node.endpoint.counts_as_public_in_elections


def _several_flags(facts: Facts) -> Iterator[Found]:
    for segment in facts.segments:
        flagged = [node for node in segment.nodes if node.leader]
        if len(flagged) > 1:
            names = ", ".join(printable(node.name) for node in flagged[:_SHOWN_SEGMENTS])
            idle = [node for node in flagged if node is not segment.leader]
            others = " ".join(quoted(node.name) for node in idle[:_MOST_COMMANDED])
            yield Found(
                LOCATION,
                segment.name,
                f"{len(flagged)} of its nodes have the leader flag: {names}",
                f"one leads, {printable(segment.leader.name)}; the others' flags do nothing now",
                f"leave the flag on one: kubectl annotate node {others} {PREFIX}leader-",
            )


def _loops(facts: Facts) -> Iterator[Found]:
    """Yield one finding for each network that contains endpoints, about its claimer."""
    held: dict[Used, list[Used]] = {}
    found = all_around(_allowed_and_endpoints(facts), lambda used: used.network, _last_if_endpoint)
    for inner, around in found:
        if inner.use == _ENDPOINT:
            outer = next((one for one in reversed(around) if one.use != _ENDPOINT), None)
            if outer is not None:
                held.setdefault(outer, []).append(inner)
    for outer, endpoints in held.items():
        yield Found(
            outer.kind,
            outer.name,
            f"its {outer.use} {outer.network} contains {_endpoints(outer, endpoints)}",
            "a routing loop: packets for the endpoint go into the tunnel that needs it",
            _without_loop(outer),
        )


def _last_if_endpoint(used: Used) -> tuple[object, ...]:
    return used.use == _ENDPOINT, *used[1:]


def _endpoints(outer: Used, endpoints: list[Used]) -> str:
    """Return the first few endpoints with their owners, and the count of the rest."""
    if len(endpoints) == 1 and endpoints[0][2:] == outer[2:]:
        return f"its own endpoint, {endpoints[0].network.address}"
    shown = ", ".join(
        f"{one.network.address} of {one.kind} {printable(one.name)}"
        for one in endpoints[:_SHOWN_SEGMENTS]
    )
    more = len(endpoints) - _SHOWN_SEGMENTS
    noun = "the endpoint" if len(endpoints) == 1 else "the endpoints"
    return f"{noun} {shown}" + (f" and {more} more" if more > 0 else "")


def _without_loop(outer: Used) -> str:
    """Return the remedy that removes endpoints from a network, by the use of the network."""
    name = quoted(outer.name)
    if outer.kind == PEER:
        return f"give the peer networks without it: kgctl peer set {name} --allowed-ips NETWORKS"
    if outer.use == Use.INTERNAL_IP:
        return (
            "a node whose public address is its internal one needs no internal IP: kubectl "
            f'annotate node {name} --overwrite {PREFIX}force-internal-ip=""'
        )
    return "remove the address from the location's networks, or dial the machine at another one"


def _allowed_and_endpoints(facts: Facts) -> Iterator[Used]:
    """Yield allowed IPs and dialled addresses, except private endpoints, which KG301 reports."""
    for segment in facts.segments:
        for claim in (*claims_of_segment(segment), *claims_to_locations(segment)):
            yield Used(claim.network, claim.use.value, NODE, claim.name)
        address = segment.endpoint and segment.endpoint.address
        if address and not _is_private(segment.endpoint):
            yield Used(single(address), _ENDPOINT, NODE, segment.leader.name)
    for peer in () if facts.topology is None else facts.topology.peers:
        for cidr in peer.allowed_ips:
            if cidr.prefix:  # a /0 contains every endpoint; KG405 reports it
                yield Used(cidr, Use.PEER.value, PEER, peer.name)
        if peer.endpoint and peer.endpoint.address:
            yield Used(single(peer.endpoint.address), _ENDPOINT, PEER, peer.name)


def _filtered(facts: Facts) -> Iterator[Found]:
    if not any(segment.filtered_location_ips for segment in facts.segments):
        return
    location_ips, allowed_ips, peer_ips = _claimed(facts)
    for segment in facts.segments:
        for cidr in segment.filtered_location_ips:
            clash = (
                location_ips.touching(cidr, beside=segment.name)
                or allowed_ips.around(cidr, beside=segment.name)
                or peer_ips.touching(cidr, beside="")
            )
            yield Found(
                LOCATION,
                segment.name,
                f"its allowed location IP {cidr} is filtered out: it clashes with {_whose(clash)}",
                "nobody reaches the network behind the location",
                "remove it from allowed-location-ips, or renumber the other network",
            )


def _claimed(facts: Facts) -> tuple[Lookup, Lookup, Lookup]:
    """Return possible clashes: location IPs and allowed IPs of segments, allowed IPs of peers."""
    location_ips = (
        Used(cidr, "an allowed location IP", LOCATION, segment.name)
        for segment in facts.segments
        for cidr in (*segment.allowed_location_ips, *segment.filtered_location_ips)
    )
    allowed_ips = (
        Used(cidr, "an allowed IP", LOCATION, segment.name)
        for segment in facts.segments
        for cidr in segment.allowed_ips
    )
    peer_ips = (
        Used(cidr, "an allowed IP", PEER, peer.name)
        for peer in facts.ready_peers
        for cidr in peer.allowed_ips
    )
    return Lookup(location_ips), Lookup(allowed_ips), Lookup(peer_ips)


def _whose(used: Used | None) -> str:
    if used is None:
        return "another network"
    kind = "peer " if used.kind == PEER else ""
    return f"{used.network}, {used.use} of {kind}{printable(used.name)}"


RULES = (
    Rule("KG301", "private-endpoint", WARNING, "Other machines cannot dial a location.",
         _private_endpoint),
    Rule("KG302", "both-behind-nat", WARNING, "Two locations cannot dial each other.",
         _both_behind_nat),
    Rule("KG303", "nat-without-keepalive", WARNING,
         "A leader with a private endpoint has no keepalive.", _nat_without_keepalive),
    Rule("KG304", "discovered-without-keepalive", ERROR,
         "A leader is seen behind NAT and has no keepalive.", _nat_seen),
    Rule("KG305", "leader-flag-ignored", WARNING, "A leader flag has no effect.", _flag_ignored),
    Rule("KG306", "several-leader-flags", WARNING, "Several nodes of a location are flagged.",
         _several_flags),
    Rule("KG307", "endpoint-in-allowed-ips", ERROR, "An endpoint lies inside allowed IPs.",
         _loops),
    Rule("KG308", "allowed-location-ip-filtered", WARNING,
         "Kilo filters out an allowed location IP.", _filtered),
)  # fmt: skip
