"""KG6xx: Peers that link clusters; these rules need several clusters."""

from __future__ import annotations

from itertools import combinations
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from kgctl.diagnosis.finding import CLUSTER, ERROR, INFO, PEER, Found, LinkRule, remedy_of
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.mesh.claims import claims_of_segment
from kgctl.mesh.dialability import is_dialable_from_elsewhere
from kgctl.mesh.granted import judged
from kgctl.mesh.link_rules import is_dialled, key_collisions, overlaps
from kgctl.mesh.links import own_networks
from kgctl.mesh.overlap import nested
from kgctl.mesh.policy import Policy
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.link_rules import Member
    from kgctl.mesh.links import ClusterLink, Linked

_SHOWN = 5  # networks that are listed; the rest is counted

At = tuple[str, Found]
"""The cluster to change, and the finding."""


class Pair(NamedTuple):
    """Two clusters with at least one link between them."""

    first: Member
    second: Member


def _pairs(linked: Linked) -> Iterator[Pair]:
    known = {frozenset((link.holder, link.source)) for link in linked.links}
    members = [one._replace(links=linked.names_of(one.name)) for one in linked.members]
    for first, second in combinations(members, 2):
        if {first.name, second.name} in known:
            yield Pair(first, second)


def _one_sided(linked: Linked) -> Iterator[At]:
    for pair in _pairs(linked):
        for holder, source in (pair, pair[::-1]):
            ours = linked.known(holder.name, source.name)
            theirs = [printable(name) for name in linked.known(source.name, holder.name)]
            for segment in source.topology.segments if theirs else ():
                if segment.name not in ours:
                    remedy = _link_command(linked, holder.name, source.name)
                    names = holder.name, source.name, segment.name
                    yield holder.name, _lacking(names, theirs, remedy)


def _link_command(linked: Linked, holder: str, source: str, *options: str) -> str:
    """Return the command that links two clusters, with ``--adopt`` if a link was made by hand."""
    adopt = ("--adopt",) if linked.made_by_hand(holder, source) else ()
    return " ".join(("kgctl link", *adopt, *options, quoted(holder), quoted(source)))


def _lacking(names: tuple[str, str, str], known: list[str], remedy: str) -> Found:
    holder, source, segment = names
    return Found(
        CLUSTER,
        "",
        f"has no Peer for {printable(segment)} of {printable(source)}, which has one for "
        f"{_some(known)} of {printable(holder)}",
        "no tunnel comes up between them: each drops packets with an unknown key",
        remedy,
    )


def _stale(linked: Linked) -> Iterator[At]:
    for link in linked.links:
        why = link.why if link.segment is None else _wrong_endpoint(link)
        if why:
            yield (
                link.holder,
                Found(
                    PEER,
                    link.peer.name,
                    f"stale link to {printable(link.source)}: {why}",
                    f"no packet reaches {printable(link.source)} through this Peer"
                    if link.segment is None
                    else "nodes dial an address that the leader does not have",
                    _link_command(linked, link.holder, link.source, "--prune"),
                ),
            )


def _by_hand(linked: Linked) -> Iterator[At]:
    for link in linked.links:
        if link.by_hand and link.segment is not None:
            yield (
                link.holder,
                Found(
                    PEER,
                    link.peer.name,
                    f"links to {printable(link.segment.name)} of {printable(link.source)}, and was "
                    "made by hand",
                    "nothing keeps it current: the tunnel breaks when another node leads there, "
                    "or its key or endpoint changes",
                    _link_command(linked, link.holder, link.source),
                ),
            )


def _wrong_endpoint(link: ClusterLink) -> str:
    assert link.segment is not None
    ours, theirs = link.peer.annotated_endpoint, link.segment.leader.endpoint
    if ours is None or ours == theirs or ours.address is None:
        return ""
    if theirs is None or theirs.address is None or not is_dialable_from_elsewhere(theirs):
        return ""  # behind a NAT, a person may know the right endpoint better
    leader = printable(link.segment.leader.name)
    return f"its endpoint is {ours}, that of the leader {leader} is {theirs}"


def _owners(member: Member) -> dict[Cidr, list[str]]:
    """Return the segments that claim each network of a cluster."""
    found: dict[Cidr, list[str]] = {}
    for segment in member.topology.segments:
        for network in own_networks(segment):
            found.setdefault(network, []).append(segment.name)
    return found


def _grantable(link: ClusterLink, policy: Policy) -> Iterator[Cidr]:
    """Yield the networks of a link's segment that its Peer may have without consent.

    The address at which the Peer is dialled is left out: it would be a routing loop.
    """
    assert link.segment is not None
    endpoint = link.peer.annotated_endpoint
    claims = list(claims_of_segment(link.segment))
    granted, _ = judged(link.segment, claims, policy)
    for claim, parts in zip(claims, granted, strict=True):
        network = claim.network.masked()
        dialled = endpoint is not None and endpoint.address == network.address
        if parts and not (dialled and not network.host_bits):
            yield network


def _other_networks(linked: Linked) -> Iterator[At]:
    owners = {member.name: _owners(member) for member in linked.members}
    policy = Policy()
    for link in linked.links:
        if link.segment is None:
            continue
        known = owners[link.source]
        ours = [cidr.masked() for cidr in link.peer.allowed_ips]
        wanted = [one for one in _grantable(link, policy) if len(known[one]) == 1]
        lacks = _not_held(wanted, ours)
        foreign = [
            f"{network} is of {printable(known[network][0])}"
            for network in ours
            if network in known and link.segment.name not in known[network]
        ]
        said = [f"lacks {_some(list(map(str, lacks)))}"] if lacks else []
        said += [_some(foreign)] if foreign else []
        if said:
            yield (
                link.holder,
                Found(
                    PEER,
                    link.peer.name,
                    f"link to {printable(link.segment.name)} of {printable(link.source)} with "
                    f"other allowed IPs: {'; '.join(said)}",
                    "packets to these networks do not arrive, and those from them are dropped",
                    _link_command(linked, link.holder, link.source),
                ),
            )


def _overlaps(linked: Linked) -> Iterator[At]:
    consequence = (
        "an address belongs to two machines: packets to it stay in their own cluster, or go to "
        "the wrong one"
    )
    for pair in _pairs(linked):
        for one in overlaps(pair):
            how = "renumber one of the two clusters"
            if one.concession is not None:
                how = remedy_of(one.concession)
            yield pair.first.name, Found(CLUSTER, "", one.sentence, consequence, how)


def _keys(linked: Linked) -> Iterator[At]:
    consequence = "WireGuard takes the two for one machine: the later one gets all packets"
    for pair in _pairs(linked):
        for one in key_collisions(pair):
            remedy = "give one of them a key of its own"
            yield pair.first.name, Found(CLUSTER, "", one.sentence, consequence, remedy)


def _never_dialled(linked: Linked) -> Iterator[At]:
    for first, second in _pairs(linked):
        hidden = [
            [printable(name) for name, peer in linked.known(*names).items() if not peer.endpoint]
            for names in ((second.name, first.name), (first.name, second.name))
        ]
        if all(hidden):
            yield (
                first.name,
                Found(
                    CLUSTER,
                    "",
                    f"the links between {_some(hidden[0])} of {printable(first.name)} and "
                    f"{_some(hidden[1])} of {printable(second.name)} have no endpoint on either "
                    "side",
                    "neither can dial the other, so no tunnel comes up",
                    _call(linked, first, second),
                ),
            )


def _call(linked: Linked, first: Member, second: Member) -> str:
    """Return the remedy that gives a tunnel between two clusters an end that can be dialled."""
    again = _link_command(linked, first.name, second.name)
    known = linked.known(second.name, first.name)
    for segment in first.topology.segments:
        if segment.name in known and not is_dialled(segment):
            return (
                "give one side a public address, and link them again: kgctl node set "
                f"{quoted(segment.leader.name)} --context {quoted(first.name)} "
                f"--force-endpoint ADDRESS:51820 && {again}"
            )
    return again


def _not_held(networks: list[Cidr], by: list[Cidr]) -> list[Cidr]:
    """Return the ``networks`` that lie in none of ``by``; the work is that of sorting."""
    both = [(network, False) for network in by] + [(network, True) for network in networks]
    held = {
        network
        for (network, asked), around in nested(both, itemgetter(0), itemgetter(1))
        if asked and not all(one_asked for _, one_asked in around)
    }
    return [network for network in networks if network not in held]


def _some(texts: list[str]) -> str:
    return some(texts, _SHOWN)


RULES = (
    LinkRule("KG601", "one-sided-link", ERROR,
             "Only one of two clusters has a Peer for the other.", _one_sided),
    LinkRule("KG602", "stale-link", ERROR,
             "A link has a key or an endpoint that no leader has.", _stale),
    LinkRule("KG603", "link-with-other-networks", ERROR,
             "A link has other allowed IPs than the segment.", _other_networks),
    LinkRule("KG604", "linked-clusters-overlap", ERROR, "Networks of linked clusters overlap.",
             _overlaps),
    LinkRule("KG605", "link-without-endpoints", ERROR, "Neither end of a link can dial the other.",
             _never_dialled),
    LinkRule("KG606", "key-in-two-clusters", ERROR,
             "Machines of two linked clusters have the same key.", _keys),
    LinkRule("KG607", "link-by-hand", INFO, "A Peer that links two clusters was made by hand.",
             _by_hand),
)  # fmt: skip
"""The rules of ``kgctl check`` for several clusters."""
