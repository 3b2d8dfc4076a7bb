"""KG312 to KG316: locations that are probably not as intended, by their networks and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.facts import CROSS
from kgctl.diagnosis.finding import LOCATION, WARNING, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.diagnosis.sites import Site, near, networks_of, public_host, site_of, skeleton, slips
from kgctl.kilo import PREFIX
from kgctl.mesh.cidr import single
from kgctl.mesh.node import NO_PLATFORM
from kgctl.mesh.text import printable, some
from kgctl.mesh.topology import LOCATION as BY_LOCATION
from kgctl.mesh.topology import location_segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.node import Node

_SHOWN = 60  # characters of a location
_NAMES = 3  # nodes that a sentence lists
_MOST_IN_COMMAND = 10
_NONE_WANTED = 'force-internal-ip is "" or "-", which means none'
_UNAVAILABLE = "node.kubernetes.io/network-unavailable"


def _by_location(facts: Facts) -> dict[str, list[Node]]:
    """Return the ready nodes by location; empty if locations do not count."""
    found: dict[str, list[Node]] = {}
    if facts.granularity in (BY_LOCATION, CROSS) and not facts.agents_label:
        for node in facts.ready_nodes:
            found.setdefault(node.location, []).append(node)
    return found


def _named(nodes: Sequence[Node]) -> str:
    return some([printable(node.name) for node in nodes], _NAMES)


def _annotate(nodes: Sequence[Node], name: str, value: str) -> str:
    """Return the command that annotates nodes, with ``NODE`` in place of too many names."""
    return f"kubectl annotate node {_names(nodes)} --overwrite {PREFIX}{name}={value}"


def _names(nodes: Sequence[Node]) -> str:
    few = len(nodes) <= _MOST_IN_COMMAND
    return " ".join(quoted(node.name) for node in nodes) if few else "NODE"


def _spellings(facts: Facts) -> Iterator[Found]:
    located = _by_location(facts)
    alike: dict[str, list[str]] = {}
    for name in sorted(located):
        alike.setdefault(skeleton(name), []).append(name)
    for plain, names in alike.items():
        right = max(names, key=lambda name: (len(located[name]), name.isascii()))
        for name in names:
            if plain and name.strip() != right.strip():  # KG102 reports white space around it
                yield _two_spellings(name, right, located[name])
    for one, other in slips(located):
        if networks_of(located[one]) & networks_of(located[other]):
            wrong, right = sorted((one, other), key=lambda name: len(located[name]))
            yield _two_spellings(wrong, right, located[wrong])


def _two_spellings(wrong: str, right: str, nodes: Sequence[Node]) -> Found:
    return Found(
        LOCATION,
        location_segment(wrong),
        f'the location "{printable(wrong, _SHOWN)}" of {_named(nodes)} is spelt almost like '
        f'"{printable(right, _SHOWN)}" of others',
        "to Kilo they are two, each with a leader of its own, and a tunnel between them",
        f"if one was meant: {_annotate(nodes, 'location', quoted(right))}",
    )


def _split_up(facts: Facts) -> Iterator[Found]:
    if facts.granularity != BY_LOCATION:
        return
    annotations = facts.subject.node_annotations
    for location, nodes in _by_location(facts).items():
        alone: dict[str, list[Node]] = {}
        for node in nodes:
            if node.internal_ip is None:
                cause = _cause(annotations.get(node.name, {}))
                alone.setdefault(cause, []).append(node)
        if location and len(nodes) > 1 and _meant_as_one(facts, nodes):
            for cause, those in alone.items():
                yield _alone(location, len(nodes), cause, those)


def _alone(location: str, count: int, cause: str, nodes: Sequence[Node]) -> Found:
    if cause == _NONE_WANTED:
        remedy = f"kubectl annotate node {_names(nodes)} {PREFIX}force-internal-ip-"
    else:
        endpoint = nodes[0].endpoint
        address = None if public_host(nodes[0]) or endpoint is None else endpoint.address
        value = "ADDRESS/PREFIX" if address is None else str(single(address))
        each = "" if len(nodes) == 1 else "give each its own: "
        remedy = each + _annotate(nodes[:1], "force-internal-ip", value)
    return Found(
        LOCATION,
        location_segment(location),
        f"{len(nodes)} of the {count} nodes that name it are left out, without an internal IP: "
        f"{_named(nodes)}; {cause}",
        "each is a segment and leads itself: the leader of the location does nothing for it",
        remedy,
    )


def _meant_as_one(facts: Facts, nodes: Sequence[Node]) -> bool:
    """Return whether annotations, or the nodes' addresses, show that the nodes belong together.

    A cloud also labels machines that each have only a public address, which is fine.
    """
    annotations = facts.subject.node_annotations
    return any(
        node.leader
        or node.internal_ip is not None
        or public_host(node) is None
        or f"{PREFIX}location" in annotations.get(node.name, {})
        for node in nodes
    )


def _cause(texts: Mapping[str, str]) -> str:
    """Return why a node has no internal IP."""
    forced = texts.get(f"{PREFIX}force-internal-ip")
    if forced in ("", "-"):
        return _NONE_WANTED
    written = texts.get(f"{PREFIX}internal-ip")
    bad = forced or written
    if bad:
        return f'"{printable(bad, _SHOWN)}" does not parse'
    if written is None:
        return "the agent has written none"
    return "the agent found no private address, or none within its --internal-cidr"


def _unplaced(facts: Facts) -> Iterator[Found]:
    """Yield nodes without a location that are in the network of a named location."""
    located = _by_location(facts)
    owners: dict[Cidr, str] = {}
    for location in sorted(located):
        for network in networks_of(located[location]) if location else ():
            owners.setdefault(network, location)
    beside: dict[str, list[Node]] = {}
    for node in located.get("", ()):
        for network in networks_of([node]) & owners.keys():
            if near(facts, node, located[owners[network]]):
                beside.setdefault(owners[network], []).append(node)
    for location, nodes in beside.items():
        (network,) = networks_of(nodes[:1])
        yield Found(
            LOCATION,
            location_segment(""),
            f"{_named(nodes)}: no location, and an internal IP in {network}, like nodes of "
            f'"{printable(location, _SHOWN)}"',
            "to Kilo they are elsewhere: packets between the two go through a tunnel",
            f"if they are in one place: {_annotate(nodes, 'location', quoted(location))}",
        )


def _two_sites(facts: Facts) -> Iterator[Found]:
    """Yield nodes that share the empty location, but no network, judging by their addresses."""
    nodes = [node for node in _by_location(facts).get("", ()) if node.internal_ip is not None]
    segment = next((one for one in facts.segments if one.name == location_segment("")), None)
    if segment is None or facts.granularity != BY_LOCATION:
        return
    own = Site.of(segment.leader)
    elsewhere = [node for node in nodes if own is not None and own.is_apart(Site.of(node))]
    if elsewhere:
        leader, other = segment.leader, elsewhere[0]
        yield Found(
            LOCATION,
            segment.name,
            f"nodes without a location count as one place: {printable(leader.name)} "
            f"({site_of(leader)}) and {printable(other.name)} ({site_of(other)})"
            f"{f', {len(elsewhere) - 1} more' if len(elsewhere) > 1 else ''} look like two",
            f"{printable(leader.name)} leads all of them: the others expect it in their own "
            "network, and have no tunnel",
            f"if they are two: {_annotate(elsewhere, 'location', 'SITE')}",
        )


def _leader_unavailable(facts: Facts) -> Iterator[Found]:
    for segment in facts.segments:
        leader = segment.leader
        if _UNAVAILABLE in facts.subject.platforms.get(leader.name, NO_PLATFORM).taints:
            yield Found(
                LOCATION,
                segment.name,
                f"Kubernetes has marked its leader {printable(leader.name)} {_UNAVAILABLE}",
                "the location's traffic goes through a node whose network is not set up",
                "check what its cloud or CNI waits for: kubectl describe node "
                f"{quoted(leader.name)}; or flag another leader: kgctl node set NODE --leader",
            )


RULES = (
    Rule("KG312", "location-in-two-spellings", WARNING, "Two locations differ only in spelling.",
         _spellings),
    Rule("KG313", "location-split-up", WARNING,
         "Nodes of a location without an internal IP are left out of it.", _split_up),
    Rule("KG314", "node-without-location", WARNING,
         "A node without a location is in the network of a location.", _unplaced),
    Rule("KG315", "two-sites-without-location", WARNING,
         "Nodes without a location are in two places.", _two_sites),
    Rule("KG316", "leader-network-unavailable", WARNING,
         "Kubernetes reports that the network of a leader is not set up.", _leader_unavailable),
)  # fmt: skip
