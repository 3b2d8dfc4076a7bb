"""``kgctl path FROM TO`` through several clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.clusters import linked_clusters, read_several
from kgctl.cli.names import UnknownNameError, unknown_member
from kgctl.mesh.cidr import parse_address
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kgctl.cli.clusters import Cluster
    from kgctl.cli.core.shared import Shared
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.linked import Linked
    from kgctl.mesh.path.ends import End
    from kgctl.mesh.path.walk import Path


def path_across(
    shared: Shared, start: str, target: str
) -> tuple[Path, Callable[[Iterable[str]], str]]:
    """Return the path, and what draws edges into a graph of all clusters.

    Raises:
        UnknownNameError: an end is in no cluster, or in several; the message names the choices.
        KgctlError: a cluster cannot be read, or has no network; the message says which.
    """
    from kgctl.mesh.path.across import find_path_across
    from kgctl.render.graph.dot import to_dot_of_clusters

    clusters = read_several(shared)
    linked = linked_clusters(clusters, hostname="")  # each machine's own view is taken on the way
    source = _end(clusters, linked, start)
    if source.machine is None:
        raise UnknownNameError(
            f"{source.addresses[0]} is {source.what}, so nothing tells how it gets into a network; "
            "give a node, a peer, or one of their addresses"
        )
    found = find_path_across(linked, source, _end(clusters, linked, target))
    return found, lambda edges: to_dot_of_clusters(linked, edges)


def _end(clusters: Sequence[Cluster], linked: Linked, text: str) -> End:
    from kgctl.mesh.path.across import find_places
    from kgctl.mesh.path.ends import End

    places = find_places(linked, text)
    if len(places) > 1:
        choices = [f"{printable(one.cluster)}/{printable(text)}" for one in places]
        raise UnknownNameError(
            f'"{printable(text)}" is in several clusters; give one of {", ".join(choices)}'
        )
    if places:
        return places[0].end
    head, slash, rest = text.partition("/")
    named = [one for one in clusters if slash and one.name == head]
    address = parse_address(rest if named else text)
    if address is not None:
        return End((address,), None, _owner(named or clusters, linked, address))
    if named:
        raise unknown_member(named[0].reading, rest)
    for one in clusters:
        if one.reading.state.node(text) or one.reading.state.peer(text):
            raise unknown_member(one.reading, text)
    names = ", ".join(printable(one.name) for one in clusters)
    raise UnknownNameError(
        f'did not find any node, peer or IP address "{printable(text)}" in {names}'
    )


def _owner(clusters: Sequence[Cluster], linked: Linked, address: Address) -> str:
    """Return in words whose an address is that is in no network: of what takes no part, mostly."""
    from kgctl.mesh.path.absent import absent_owner

    topologies = {member.name: member.topology for member in linked.members}
    for one in clusters:
        owner = absent_owner(one.reading.state, topologies[one.name], one.reading.now, address)
        if owner is not None:
            return f"{owner}, in {printable(one.name)}"
    return "in no network of the clusters"
