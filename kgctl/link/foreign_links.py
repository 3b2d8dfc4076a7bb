"""Links between clusters that kgctl link does not keep: what people made, or another name's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.rules.nodes import quoted
from kgctl.edit.writing import spec_of
from kgctl.kilo import KEY
from kgctl.link.peers import linked_source
from kgctl.link.steps import LinkError
from kgctl.mesh.text import printable
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.link.clusters import ClusterState
    from kgctl.link.spec import LinkSpec
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
