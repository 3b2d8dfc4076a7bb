"""``kgctl path FROM TO``: how a packet travels, hop by hop."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from kgctl.cli.completing import complete_member
from kgctl.cli.core.output import answer
from kgctl.cli.core.shared import Shared, of_several, with_shared
from kgctl.cli.names import unknown_member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kgctl.cli.reading import Reading
    from kgctl.mesh.path.ends import End
    from kgctl.mesh.path.walk import Path
    from kgctl.mesh.topology import Topology


class Format(StrEnum):
    """How the path is printed; without one, for a person."""

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
        Format | None, typer.Option("--output", "-o", help="Print it for a program instead.")
    ] = None,
) -> None:
    """Tell how a packet travels from FROM to TO, and its answer back, or where it stops.

    Either is a node (its pods are meant), a peer, or an IP address. Exit 0 when it arrives, 1
    when it does not, 2 when that cannot be told. Of several clusters, CLUSTER/NAME is in one.
    """
    if shared.several:
        from kgctl.cli.path_across import path_across

        found, draw = path_across(shared, start, target)
        _show(found, output, draw)
    from kgctl.cli.reading import read
    from kgctl.mesh.path.walk import find_path

    reading = read(shared)
    topology = reading.topology(hostname="")  # each machine's own view is taken on the way
    found = find_path(topology, _start(reading, topology, start), _end(reading, topology, target))

    def draw_in(edges: Iterable[str]) -> str:
        from kgctl.render.graph.dot import to_dot

        return to_dot(topology, edges)

    _show(found, output, draw_in)


def _show(found: Path, output: Format | None, draw: Callable[[Iterable[str]], str]) -> NoReturn:
    """Print the path, drawn into a graph by ``draw`` where that is asked for, and exit."""
    if output is Format.DOT:
        from kgctl.render.pathdot import path_edges

        answer(draw(path_edges(found)))
    elif output is Format.JSON:
        from kgctl.kube.codec.structured import to_json
        from kgctl.render.path import path_to_object

        answer(to_json(path_to_object(found)))
    else:
        from kgctl.render.path import path_to_text

        answer(path_to_text(found))
    raise typer.Exit(0 if found.reachable else 1)


def _start(reading: Reading, topology: Topology, text: str) -> End:
    from kgctl.cli.names import UnknownNameError

    end = _end(reading, topology, text)
    if end.machine is None:
        raise UnknownNameError(
            f"{end.addresses[0]} is {end.what}, so nothing tells how it gets into the network; "
            "give a node, a peer, or one of their addresses"
        )
    return end


def _end(reading: Reading, topology: Topology, text: str) -> End:
    from kgctl.mesh.path.ends import find_end

    end = find_end(topology, text)
    if end is None:
        raise unknown_member(reading, text)
    if end.machine is not None:
        return end
    from kgctl.mesh.path.absent import absent_owner

    owner = absent_owner(reading.state, topology, reading.now, end.addresses[0])
    return end if owner is None else end._replace(what=owner)
