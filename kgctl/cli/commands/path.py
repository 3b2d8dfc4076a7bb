"""``kgctl path FROM TO``: trace a packet hop by hop, in one cluster or across several."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from kgctl.cli.core.choices import complete_member
from kgctl.cli.core.clusters import linked_clusters, read_several
from kgctl.cli.core.names import UnknownNameError, unknown_member
from kgctl.cli.core.output import answer
from kgctl.cli.core.shared import Shared, of_several, with_shared
from kgctl.mesh.cidr import parse_address
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kgctl.cli.core.clusters import Cluster
    from kgctl.cli.core.source import Reading
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.links import Linked
    from kgctl.mesh.path.ends import End
    from kgctl.mesh.path.walk import Path
    from kgctl.mesh.topology import Topology


class Format(StrEnum):
    """The format of the path; the default is text."""

    JSON = "json"
    DOT = "dot"


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
@of_several
def path(
    shared: Shared,
    start: Annotated[str, typer.Argument(metavar="FROM", autocompletion=complete_member)],
    target: Annotated[str, typer.Argument(metavar="TO", autocompletion=complete_member)],
    output: Annotated[
        Format | None, typer.Option("--output", "-o", help="The output format. Default: text.")
    ] = None,
    relay: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|auto",
            help="The relay that the files of peers were made with (kgctl showconf peer --relay).",
            autocompletion=complete_member,
        ),
    ] = None,
) -> None:
    """Show how a packet travels from FROM to TO and the answer back, or where it stops.

    FROM and TO are nodes (their pods), peers or IP addresses; with several clusters,
    CLUSTER/NAME.

    Exit code 0: the packet arrives. 1: it does not. 2: an error.
    """
    if shared.several:
        found, draw = path_across(shared, start, target)
        _show(found, output, draw)
    from kgctl.cli.core.source import read
    from kgctl.mesh.path.walk import find_path

    reading = read(shared)
    topology = reading.topology(hostname="")  # the walk takes each machine's own view
    if relay is not None:
        topology = _relayed(topology, relay)
    source = _as_start(_end(reading, topology, start))
    found = find_path(topology, source, _end(reading, topology, target))

    def draw_in(edges: Iterable[str]) -> str:
        from kgctl.render.graph.dot import to_dot

        return to_dot(topology, edges)

    _show(found, output, draw_in)


def _relayed(topology: Topology, name: str) -> Topology:
    from kgctl.cli.commands.quick import unknown_place
    from kgctl.mesh.relays import NoRelayError, relaying_through

    try:
        return topology._replace(relaying=relaying_through(topology, name))
    except NoRelayError as error:
        raise unknown_place(error) from None


def _show(found: Path, output: Format | None, draw: Callable[[Iterable[str]], str]) -> NoReturn:
    """Print the path and exit; for ``-o dot``, ``draw`` draws it into a graph."""
    if output is Format.DOT:
        from kgctl.render.path import path_edges

        answer(draw(path_edges(found)))
    elif output is Format.JSON:
        from kgctl.kube.codec.structured import to_json
        from kgctl.render.path import path_to_object

        answer(to_json(path_to_object(found)))
    else:
        from kgctl.render.path import path_to_text

        answer(path_to_text(found))
    raise typer.Exit(0 if found.reachable else 1)


def _as_start(end: End, where: str = "the network") -> End:
    """Return the end if a path can start there, at a machine that is known."""
    if end.machine is None:
        raise UnknownNameError(
            f"{end.addresses[0]} is {end.what}, so its way into {where} is unknown; "
            "give a node, a peer, or one of their addresses"
        )
    return end


def _end(reading: Reading, topology: Topology, text: str) -> End:
    from kgctl.mesh.path.ends import absent_owner, find_end

    end = find_end(topology, text)
    if end is None:
        raise unknown_member(reading, text)
    if end.machine is not None:
        return end
    owner = absent_owner(reading.state, topology, reading.now, end.addresses[0])
    return end if owner is None else end._replace(what=owner)


def path_across(
    shared: Shared, start: str, target: str
) -> tuple[Path, Callable[[Iterable[str]], str]]:
    """Return the path, and a function that draws edges into a graph of all clusters.

    Raises:
        UnknownNameError: an end is in no cluster, or in several; the message names the choices.
        KgctlError: a cluster cannot be read, or has no network; the message names it.
    """
    from kgctl.mesh.path.across import find_path_across
    from kgctl.render.graph.dot import to_dot_of_clusters

    clusters = read_several(shared)
    linked = linked_clusters(clusters, hostname="")  # the walk takes each machine's own view
    source = _as_start(_cluster_end(clusters, linked, start), "a network")
    found = find_path_across(linked, source, _cluster_end(clusters, linked, target))
    return found, lambda edges: to_dot_of_clusters(linked, edges)


def _cluster_end(clusters: Sequence[Cluster], linked: Linked, text: str) -> End:
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
    """Return in words the owner of an address in no network, such as a node that is not ready."""
    from kgctl.mesh.path.ends import absent_owner

    topologies = {member.name: member.topology for member in linked.members}
    for one in clusters:
        owner = absent_owner(one.reading.state, topologies[one.name], one.reading.now, address)
        if owner is not None:
            return f"{owner}, in {printable(one.name)}"
    return "in no network of the clusters"
