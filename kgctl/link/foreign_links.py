"""Links that kgctl link does not manage: made by hand or under another name; and their adoption.

Kilo's agents identify a Peer by its key: of two Peers with one key, the last one seen counts, and
deleting either removes the key from every device. So an existing Peer is never duplicated or
replaced. It is taken over in place: it keeps its name, and an annotation names its link.
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
from kgctl.mesh.peer import KEEPALIVES
from kgctl.mesh.text import printable
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from kgctl.kube.stored import Object
    from kgctl.link.clusters import ClusterState
    from kgctl.link.spec import LinkSpec
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.links import ClusterLink
    from kgctl.reporter import Reporter
    from kgctl.state.interface import Objects


_SHOWN = 10  # links to name; the rest is counted


def refuse_foreign_links(
    states: Sequence[ClusterState], spec: LinkSpec, reporter: Reporter
) -> None:
    """Check that kgctl manages all links of the clusters, or may take them over.

    On the nodes, a second Peer with the same key would replace the first, and deleting either
    would remove both.

    Raises:
        LinkError: there are links that kgctl does not manage.
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
    """Report the Peers that link the clusters too, and stay: kgctl link did not make them."""
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
                    f"{printable(other)} and stays: kgctl link did not make it; to remove it: "
                    f"kgctl peer rm {quoted(peer_name(peer))}"
                )


LINK_ANNOTATION = "kgctl.dev/link"
"""On a Peer that was made by hand and taken over, the name of the link that it stands for."""

NETWORKS_ANNOTATION = "kgctl.dev/kept-networks"
"""Networks of a Peer made by hand that its segment does not have: they stay.

Most are service networks, which a person added when printing the Peer.
"""

_KEEPALIVE = "persistentKeepalive"
_KEPT = ("presharedKey", _KEEPALIVE)


class Adoption(NamedTuple):
    """A Peer to take over, and the name of its link; empty if unknown.

    ``networks`` are the allowed IPs of a Peer made by hand.
    """

    peer: str
    link: str
    networks: tuple[Cidr, ...] = ()


class Terms(NamedTuple):
    """The parts of a Peer made by hand that it keeps.

    It keeps its endpoint, if its link is one of ``undialled``, those without a public endpoint;
    and its own networks for which ``is_free`` is true, that is, which nothing else has. A Peer for
    a cluster in ``settled`` (labels), whose service networks are given, keeps no networks.
    """

    undialled: Collection[str]
    is_free: Callable[[Cidr], bool]
    settled: Collection[str] = ()


def adoptions(links: Iterable[ClusterLink]) -> list[Adoption]:
    """Return the links in one cluster to take over: those that kgctl does not manage."""
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
    """Return the wanted Peers, each under its name in the cluster.

    A Peer that is taken over, now or earlier, keeps the fields that linking does not set: its
    preshared key, its keepalive, and what the ``terms`` allow. Of several Peers for one link, the
    one with the wanted key is used; else the one with the link's own name.
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
    """Return the names of links by the names of the Peers that stand for them in a cluster.

    ``links`` are those found by their keys, such as links made by hand.
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
    """Return the Peers for each link, by its name."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for peer in present:
        name = peer_name(peer)
        ours = linked_source(peer) is not None
        link = taken[name].link if name in taken else ours and (adopted_as(peer) or name)
        if link:
            found.setdefault(link, []).append(peer)
    return found


def adopted_as(peer: Mapping[str, Any]) -> str:
    """Return the name of the link that a Peer was taken over as; empty if it was not."""
    return _annotation(peer, LINK_ANNOTATION) if linked_source(peer) is not None else ""


def _in_place(
    wanted: Object, present: Mapping[str, Any], taken: Adoption | None, terms: Terms
) -> Object:
    metadata, spec, before = wanted["metadata"], dict(wanted["spec"]), spec_of(present)
    link = metadata["name"]
    own = "endpoint" in spec  # else the wanted keepalive only makes up for the missing endpoint
    kept = [one for one in _KEPT if not spec.get(one) or (one == _KEEPALIVE and not own)]
    kept += ["endpoint"] if link in terms.undialled else []
    spec.update({field: before[field] for field in kept if _can_stay(field, before.get(field))})
    annotations = {LINK_ANNOTATION: link}
    networks = _remembered(present) if taken is None else taken.networks
    free = metadata["labels"][SOURCE_LABEL] not in terms.settled
    more = [str(one) for one in networks if free and terms.is_free(one)]
    if more:
        spec["allowedIPs"] = list(dict.fromkeys((*spec["allowedIPs"], *more)))
        annotations[NETWORKS_ANNOTATION] = ",".join(more)
    named = {**metadata, "name": peer_name(present), "annotations": annotations}
    return {**wanted, "metadata": named, "spec": spec}


def _can_stay(field: str, value: object) -> bool:
    return bool(value) and (field != _KEEPALIVE or value in KEEPALIVES)


def _remembered(peer: Mapping[str, Any]) -> tuple[Cidr, ...]:
    found = map(parse_cidr, _annotation(peer, NETWORKS_ANNOTATION).split(","))
    return tuple(cidr.masked() for cidr in found if cidr is not None)


def _annotation(peer: Mapping[str, Any], name: str) -> str:
    metadata = peer.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    value = annotations.get(name) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else ""
