"""KG201 to KG203, KG208 to KG215: clashing claims, by the rules of ``kgctl.mesh.claims``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import CLUSTER, ERROR, INFO, NODE, PEER, WARNING, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.mesh.claims import Claim, Clash, Overlap, Use
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.diagnosis.facts import Facts

_SHOWN = 3  # claims that are listed; the rest is counted

_KINDS = {Use.PEER: PEER, Use.WIREGUARD: CLUSTER, Use.SERVICES: CLUSTER}


def _kind(claim: Claim) -> str:
    return _KINDS.get(claim.use, NODE)


def _grouped(overlaps: Iterable[Overlap], about: Use) -> Iterator[tuple[Claim, list[Claim]]]:
    """Yield each claim for the use ``about`` with all claims that it clashes with, in order."""
    found: dict[Claim, list[Claim]] = {}
    for one in overlaps:
        claim, other = one.inner, one.outer
        if claim.use is not about:
            claim, other = other, claim
        found.setdefault(claim, []).append(other)
    yield from found.items()


def _named(claims: Iterable[Claim]) -> str:
    """Return networks with their owners: ``10.42.0.0/24, the pod subnet of node a, and 3 more``."""
    return some([f"{claim.network}, {claim.owner}" for claim in claims], _SHOWN)


def _force_internal_ip(name: str) -> str:
    return (
        f"kgctl node set {quoted(name)} --force-internal-ip ADDRESS/PREFIX, or "
        "--force-internal-ip=- for none"
    )


# --- pod subnets, and other networks that must be disjoint ---


def _pod_subnets(facts: Facts) -> Iterator[Found]:
    for _, outer, inner in facts.overlaps[Clash.PODS_TWICE]:
        yield Found(
            NODE,
            inner.name,
            f"its pod subnet {inner.network} overlaps {outer.network} of node "
            f"{printable(outer.name)}",
            "packets for pods of one go to the other, or nowhere",
            "give each node a pod CIDR of its own: delete one Node, and let it register again",
        )


def _disjoint(facts: Facts) -> Iterator[Found]:
    respelled = (
        one
        for one in facts.overlaps[Clash.PEERS_SHARE]
        if one.outer.network != one.inner.network  # else KG403 reports it
    )
    for _, outer, inner in (*facts.overlaps[Clash.NETWORKS], *respelled):
        about, other = (inner, outer) if inner.use is Use.PEER else (outer, inner)
        whose = "its" if about.name else "the"
        yield Found(
            _kind(about),
            about.name,
            f"{whose} {_called(about)} {about.network} overlaps {_owned(other)}",
            "the narrower of two routes wins: some addresses lead to the wrong machine",
            "renumber one of the two",
        )


def _called(claim: Claim) -> str:
    return "service CIDR" if claim.use is Use.SERVICES else str(claim.use)


def _owned(claim: Claim) -> str:
    owner = f" of {_kind(claim)} {printable(claim.name)}" if claim.name else ""
    return f"the {_called(claim)} {claim.network}{owner}"


# --- internal IPs ---


def _twice_at_home(facts: Facts) -> Iterator[Found]:
    for _, outer, inner in facts.overlaps[Clash.INTERNAL_IP_TWICE_AT_HOME]:
        yield Found(
            NODE,
            inner.name,
            f"its internal IP {inner.network.address} is also that of node "
            f"{printable(outer.name)} in {printable(inner.place)}",
            "one of them cannot be reached, neither from its neighbours nor from elsewhere",
            f"give one another address: {_force_internal_ip(inner.name)}; or they are in "
            "different locations",
        )


def _twice(facts: Facts) -> Iterator[Found]:
    for _, outer, inner in facts.overlaps[Clash.INTERNAL_IP_TWICE]:
        yield Found(
            NODE,
            inner.name,
            f"its internal IP {inner.network.address} is also that of node "
            f"{printable(outer.name)} in {printable(outer.place)}",
            "WireGuard gives an address to one machine: from other locations the other one cannot "
            "be reached, and its packets are dropped",
            f"renumber one of the two networks; until then {_force_internal_ip(inner.name)}",
        )


def _in_pods(facts: Facts) -> Iterator[Found]:
    for internal, others in _grouped(facts.overlaps[Clash.INTERNAL_IP_IN_PODS], Use.INTERNAL_IP):
        pods = others[0]
        own = pods.name == internal.name
        whose = f"its own pod subnet {pods.network}" if own else _named(others)
        yield Found(
            NODE,
            internal.name,
            f"its internal IP {internal.network.address} lies in {whose}",
            "the address also belongs to a pod, or to a bridge of the CNI: packets for one go to "
            "the other",
            "set an address of its own network: " + _force_internal_ip(internal.name),
        )


def _in_services(facts: Facts) -> Iterator[Found]:
    found = facts.overlaps[Clash.INTERNAL_IP_IN_SERVICES]
    for internal, others in _grouped(found, Use.INTERNAL_IP):
        yield Found(
            NODE,
            internal.name,
            f"its internal IP {internal.network.address} lies in the service network "
            f"{others[0].network}",
            "a service that gets this address takes the packets for the node",
            f"renumber the machine, or run the cluster with another service network; until then "
            f"{_force_internal_ip(internal.name)}",
        )


def _in_wireguard(facts: Facts) -> Iterator[Found]:
    found = facts.overlaps[Clash.INTERNAL_IP_IN_WIREGUARD]
    for internal, others in _grouped(found, Use.INTERNAL_IP):
        yield Found(
            NODE,
            internal.name,
            f"its internal IP {internal.network.address} lies in the WireGuard network "
            f"{others[0].network}",
            "leaders reach that network through WireGuard, where the address belongs to another "
            "machine, or to nobody",
            "run every agent with another --subnet; until then "
            f"{_force_internal_ip(internal.name)}",
        )


def _of_peer(facts: Facts) -> Iterator[Found]:
    for peer, others in _grouped(facts.overlaps[Clash.INTERNAL_IP_OF_PEER], Use.PEER):
        single = peer.network.host_bits == 0
        relation = f"is {others[0].owner}" if single else f"contains {_named(others)}"
        yield Found(
            PEER,
            peer.name,
            f"its allowed IP {peer.network} {relation}",
            "packets for the address go to one of the two, usually the peer"
            if single
            else "nodes in that network send packets for their own neighbours to the peer, and "
            "others send packets for the peer to the nodes",
            f"give the peer another network: kgctl peer set {quoted(peer.name)} --allowed-ips "
            "ADDRESS/32; or renumber that of the nodes",
        )


# --- networks behind locations, and behind peers ---


def _location_ips(facts: Facts) -> Iterator[Found]:
    for location, others in _grouped(facts.overlaps[Clash.LOCATION_IP], Use.LOCATION_IPS):
        yield Found(
            NODE,
            location.name,
            f"its allowed location IP {location.network} overlaps {_named(others)}",
            "the narrower of two routes wins: packets for these addresses go elsewhere, so "
            "machines behind the location that have them cannot be reached",
            "name narrower networks, without those: kgctl node set "
            f"{quoted(location.name)} --allowed-location-ips NETWORKS",
        )


def _lan_elsewhere(facts: Facts) -> Iterator[Found]:
    for location, others in _grouped(facts.overlaps[Clash.LAN_ELSEWHERE], Use.LOCATION_IPS):
        nodes = some([f"{printable(one.name)} ({one.network.address})" for one in others], _SHOWN)
        yield Found(
            NODE,
            location.name,
            f"its allowed location IP {location.network} is in the LAN of {nodes} in "
            f"{printable(others[0].place)}",
            "there the route to the network leads into the tunnel: the nodes lose their neighbours",
            "renumber one of the two networks, or take it out: kgctl node set "
            f"{quoted(location.name)} --allowed-location-ips NETWORKS",
        )


def _peer_in_peer(facts: Facts) -> Iterator[Found]:
    for _, outer, inner in facts.overlaps[Clash.PEER_IN_PEER]:
        yield Found(
            PEER,
            inner.name,
            f"its allowed IP {inner.network} is part of {outer.network} of peer "
            f"{printable(outer.name)}",
            f"packets for it go to {printable(inner.name)}, those for the rest of the network to "
            f"{printable(outer.name)}",
            f"nothing, if intended; else kgctl peer set {quoted(inner.name)} --allowed-ips "
            "ADDRESS/32",
        )


RULES = (
    Rule("KG201", "pod-subnets-overlap", ERROR, "Pod subnets of two nodes overlap.",
         _pod_subnets),
    Rule("KG202", "internal-ip-twice", ERROR, "Two nodes of a location have the same internal IP.",
         _twice_at_home),
    Rule("KG203", "networks-overlap", ERROR,
         "Pod, service, WireGuard and peers' networks overlap.", _disjoint),
    Rule("KG208", "internal-ip-elsewhere-too", ERROR,
         "Nodes of two segments have the same internal IP.", _twice),
    Rule("KG209", "internal-ip-in-pod-subnet", ERROR, "An internal IP lies in a pod subnet.",
         _in_pods),
    Rule("KG210", "internal-ip-in-service-network", ERROR,
         "An internal IP lies in the service network.", _in_services),
    Rule("KG211", "internal-ip-in-wireguard-network", ERROR,
         "An internal IP lies in the WireGuard network.", _in_wireguard),
    Rule("KG212", "peer-claims-internal-ip", ERROR,
         "A peer's allowed IP contains a node's internal IP.", _of_peer),
    Rule("KG213", "allowed-location-ip-overlaps", WARNING,
         "An allowed location IP overlaps pods or the WireGuard network.", _location_ips),
    Rule("KG214", "own-network-elsewhere", ERROR,
         "A location claims the LAN of another location's nodes.", _lan_elsewhere),
    Rule("KG215", "peer-within-peer", INFO, "A peer's network is a part of another peer's.",
         _peer_in_peer),
)  # fmt: skip
"""The rules about claims."""
