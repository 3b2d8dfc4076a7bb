"""Links between clusters that kgctl link does not keep: what people made, or another name's.

Peers that people made to link clusters, taken over in place.

Kilo's agents know a Peer by its key: of two Peers with one key the one heard of last counts, and
deleting either takes the key out of every device. So a Peer that links already is never made a
second time, nor replaced: it keeps its name, and an annotation says which link it is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.diagnosis.rules.nodes import quoted
from kgctl.edit.peer_writes import spec_of
from kgctl.kilo import KEY
from kgctl.link.peers import SOURCE_LABEL, link_name, linked_source
from kgctl.link.steps import LinkError
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.text import printable
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from kgctl.kube.stored import Object
    from kgctl.link.clusters import ClusterState
    from kgctl.link.spec import LinkSpec
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.linked import ClusterLink
    from kgctl.reporter import Reporter
    from kgctl.state.interface import Objects


_SHOWN = 10  # links that are named; the rest is counted


def refuse_foreign_links(
    states: Sequence[ClusterState], spec: LinkSpec, reporter: Reporter
) -> None:
    """Make sure that the clusters have no links that kgctl does not keep, or may take them over.

    A second Peer with the key of the first would take its place on the nodes, and each of the two
    the other's when it is deleted.

    Raises:
        LinkError: there are such links.
    """
    others = [link for state in states for link in state.links if not link.is_kept]
    if not others or spec.adopt:
        return
    for link in others[:_SHOWN]:
        reporter.warn(f"linked already: {_other_link(link)}")
    if len(others) > _SHOWN:
        reporter.warn(f"linked already: {len(others) - _SHOWN} more Peers")
    raise LinkError(
        "not linked, nothing was changed: take the Peers over with "
        f"{reporter.setting('adopt')}, or remove them first"
    )


def _other_link(link: ClusterLink) -> str:
    peer, holder = printable(link.peer.name), printable(link.holder)
    place = "" if link.home is None else f"{printable(link.home.name)} of "
    how = "was made by hand"
    if link.label is not None:
        how = f"was made by kgctl link, which called that cluster {printable(link.label)}"
    why = f"; it is stale: {link.why}" if link.why else ""
    return f"peer {peer} of {holder} links to {place}{printable(link.source)} and {how}{why}"


def report_foreign_links(clusters: Mapping[str, Objects], reporter: Reporter) -> None:
    """Say which Peers link the clusters as well, and stay: kgctl link did not make them."""
    owners = {
        node.annotations[KEY]: name
        for name, objects in clusters.items()
        for node in objects.nodes
        if KEY in node.annotations
    }
    for name, objects in clusters.items():
        for peer in objects.peers:
            other = owners.get(str(spec_of(peer).get("publicKey")), name)
            if other != name and linked_source(peer) is None:
                reporter.inform(
                    f"{printable(name)}: the peer {printable(peer_name(peer))} links to "
                    f"{printable(other)} and stays, for kgctl link did not make it; to remove it: "
                    f"kgctl peer rm {quoted(peer_name(peer))}"
                )


LINK_ANNOTATION = "kgctl.dev/link"
"""The name that a Peer would have if linking had made it: it was made by hand, and taken over."""

NETWORKS_ANNOTATION = "kgctl.dev/kept-networks"
"""Networks that a Peer made by hand led to, and that its segment does not have: they stay.

Mostly they are those of services, which a person added when printing the Peer.
"""

_KEEPALIVE = "persistentKeepalive"
_KEPT = ("presharedKey", _KEEPALIVE)


class Adoption(NamedTuple):
    """A Peer to take over, and the name of the link that it is; empty where none is known.

    ``networks`` are those that it leads to.
    """

    peer: str
    link: str
    networks: tuple[Cidr, ...] = ()


class Terms(NamedTuple):
    """What a Peer that was made by hand keeps.

    That is its endpoint, if it stands for one of ``undialled``, the links without a public one;
    and those networks of its own of which ``is_free`` says that nothing else has them. Where it is
    settled which networks lead to a cluster, of the labels ``settled``, they alone do.
    """

    undialled: Collection[str]
    is_free: Callable[[Cidr], bool]
    settled: Collection[str] = ()


def adoptions(links: Iterable[ClusterLink]) -> list[Adoption]:
    """Return which of the links in one cluster have to be taken over to be kept current."""
    return [
        Adoption(
            link.peer.name,
            link_name(link.source, link.home) if link.home else "",
            tuple(cidr.masked() for cidr in link.peer.allowed_ips) if link.by_hand else (),
        )
        for link in links
        if not link.is_kept
    ]


def placed(
    wanted: Mapping[str, Object],
    present: Sequence[Mapping[str, Any]],
    taken: Iterable[Adoption],
    terms: Terms,
) -> dict[str, Object]:
    """Return the Peers that are wanted, each under the name that it has in the cluster.

    A Peer that is taken over, or was, keeps what linking has nothing to say about: its preshared
    key, its keepalive, and what the ``terms`` say. Of several Peers of one link that with the key
    that is wanted is taken, then that with the link's own name.
    """
    adopted = {one.peer: one for one in taken}
    candidates = _candidates(present, adopted)
    found = {}
    for name, peer in wanted.items():
        best = min(candidates.get(name, ()), key=partial(_rank, peer), default=None)
        if best is None or (peer_name(best) == name and name not in adopted):
            found[name] = peer
        else:
            found[peer_name(best)] = _in_place(peer, best, adopted.get(peer_name(best)), terms)
    return found


def held_links(
    present: Iterable[Mapping[str, Any]], links: Iterable[ClusterLink] = ()
) -> dict[str, str]:
    """Return which of the Peers of a cluster stand for which link: names of links by Peer's.

    ``links`` are those that are known by their keys, as those that people made.
    """
    found = {link.peer.name: link_name(link.source, link.home) for link in links if link.home}
    for peer in present:
        if linked_source(peer) is not None:
            found[peer_name(peer)] = adopted_as(peer) or peer_name(peer)
    return found


def _rank(wanted: Object, present: Mapping[str, Any]) -> tuple[bool, bool, str]:
    name = peer_name(present)
    other_key = spec_of(present).get("publicKey") != wanted["spec"]["publicKey"]
    return other_key, name != peer_name(wanted), name


def _candidates(
    present: Sequence[Mapping[str, Any]], taken: Mapping[str, Adoption]
) -> dict[str, list[Mapping[str, Any]]]:
    """Return the Peers that stand for a link, by its name."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for peer in present:
        name = peer_name(peer)
        ours = linked_source(peer) is not None
        link = taken[name].link if name in taken else ours and (adopted_as(peer) or name)
        if link:
            found.setdefault(link, []).append(peer)
    return found


def adopted_as(peer: Mapping[str, Any]) -> str:
    """Return the name of the link that a Peer was taken over as; empty where it was not."""
    return _annotation(peer, LINK_ANNOTATION) if linked_source(peer) is not None else ""


def _in_place(
    wanted: Object, present: Mapping[str, Any], taken: Adoption | None, terms: Terms
) -> Object:
    metadata, spec, before = wanted["metadata"], dict(wanted["spec"]), spec_of(present)
    link = metadata["name"]
    own = "endpoint" in spec  # else its keepalive is only there for want of one
    kept = [one for one in _KEPT if not spec.get(one) or (one == _KEEPALIVE and not own)]
    kept += ["endpoint"] if link in terms.undialled else []
    spec.update({field: before[field] for field in kept if before.get(field)})
    annotations = {LINK_ANNOTATION: link}
    networks = _remembered(present) if taken is None else taken.networks
    free = metadata["labels"][SOURCE_LABEL] not in terms.settled
    more = [str(one) for one in networks if free and terms.is_free(one)]
    if more:
        spec["allowedIPs"] = list(dict.fromkeys((*spec["allowedIPs"], *more)))
        annotations[NETWORKS_ANNOTATION] = ",".join(more)
    named = {**metadata, "name": peer_name(present), "annotations": annotations}
    return {**wanted, "metadata": named, "spec": spec}


def _remembered(peer: Mapping[str, Any]) -> tuple[Cidr, ...]:
    found = map(parse_cidr, _annotation(peer, NETWORKS_ANNOTATION).split(","))
    return tuple(cidr.masked() for cidr in found if cidr is not None)


def _annotation(peer: Mapping[str, Any], name: str) -> str:
    metadata = peer.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    value = annotations.get(name) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else ""
