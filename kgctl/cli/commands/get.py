"""``kgctl get nodes|peers|segments [NAME...]``: list objects of the network."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.choices import complete_listed, format_named, format_option
from kgctl.cli.core.hints import message
from kgctl.cli.core.names import UnknownNameError
from kgctl.cli.core.output import answer, note, on_terminal
from kgctl.cli.core.shared import Shared, of_several, with_shared
from kgctl.mesh.text import nearest, printable
from kgctl.render.lists.formats import LIST_FORMATS, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

    from kgctl.cli.core.clusters import Cluster
    from kgctl.cli.core.source import Reading
    from kgctl.render.lists.formats import ListFormat
    from kgctl.render.lists.listing import Listing


class Kind(StrEnum):
    """The kinds of objects to list, in the plural and in the singular."""

    NODES = "nodes"
    PEERS = "peers"
    SEGMENTS = "segments"
    NODE = "node"
    PEER = "peer"
    SEGMENT = "segment"


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
@of_several
def get(
    shared: Shared,
    kind: Annotated[Kind, typer.Argument(help="What to list.", metavar="nodes|peers|segments")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", autocompletion=complete_listed)
    ] = None,
    output: Annotated[
        str | None, format_option(LIST_FORMATS, "The output format. Default: a table.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Redraw the table at every change.")
    ] = False,
) -> None:
    """List nodes, peers or segments, and why one is not ready."""
    chosen = format_named(LIST_FORMATS, output or TABLE.name)
    if shared.several:
        if watch:
            raise UsageError("--watch works on one cluster: give one --context or --cluster")
        _show(_listing_of_several(shared, kind, names or []), chosen, single=False)
        return
    if watch:
        _watch(shared, kind, names or [], chosen)
        return
    from kgctl.cli.core.source import read

    reading = read(shared)
    listing = _listing(reading, kind)
    network = reading.state.network
    if network is not None and kind not in (Kind.PEERS, Kind.PEER):
        why = (
            f"the network {printable(network.name)} has machines and no {listing.plural}; "
            "list them with: kgctl get peers"
        )
        if names:
            raise UnknownNameError(why)
        if chosen.table is not None:
            note(why)
            return
    if names:
        kind_named = listing.kind if network is None else "machine"
        listing = listing._replace(items=tuple(_chosen(listing._replace(kind=kind_named), names)))
    _show(listing, chosen, single=len(names or ()) == 1)


def _watch(shared: Shared, kind: Kind, names: list[str], chosen: ListFormat) -> None:
    from kgctl.cli.commands.screen import redraw

    table = chosen.table
    assert table is not None  # --watch is refused with other formats (kgctl.cli.core.effects)

    def drawing(reading: Reading, console: Console) -> RenderableType:
        listing = _listing(reading, kind, quiet=True)
        items = tuple(item for item in listing.items if not names or item["name"] in names)
        return table.shown(listing._replace(items=items), console.width)[0]

    redraw(shared, drawing, ages=kind in (Kind.NODES, Kind.NODE))


def _listing(
    reading: Reading, kind: Kind, *, quiet: bool = False, cluster: str | None = None
) -> Listing:
    from kgctl.errors import MeshError
    from kgctl.render.lists.listing import list_nodes, list_peers, list_segments

    if kind in (Kind.PEERS, Kind.PEER):
        return list_peers(reading.state, reading.clock)
    if kind in (Kind.SEGMENTS, Kind.SEGMENT):
        return list_segments(reading.topology())
    try:
        topology = reading.topology()
    except MeshError as error:  # users look at the list to find the reason
        if not quiet:
            where = "" if cluster is None else f"{printable(cluster)}: "
            note(f"{where}there is no network, so no segments: {message(error).splitlines()[0]}")
        topology = None
    return list_nodes(reading.state, topology, reading.now, present=reading.present)


def _listing_of_several(shared: Shared, kind: Kind, names: list[str]) -> Listing:
    """Return one list of all clusters; ``CLUSTER/NAME`` selects an object of one cluster."""
    from kgctl.cli.core.clusters import linked_clusters, read_several, said_of
    from kgctl.render.lists.listing import together, with_links

    listings = {}
    clusters = read_several(shared)
    for one in clusters:
        with said_of(one.name):
            listings[one.name] = _listing(one.reading, kind, cluster=one.name)
    listing = together(listings)
    if kind in (Kind.PEERS, Kind.PEER):
        listing = with_links(listing, linked_clusters(_with_network(clusters)))
    if not names:
        return listing
    known: dict[str, list[dict[str, object]]] = {}
    for item in listing.items:
        for name in (str(item["name"]), f"{item['cluster']}/{item['name']}"):
            known.setdefault(name, []).append(item)
    for name in names:
        if name not in known:
            raise _unknown(listing.kind, name, known)
    return listing._replace(items=tuple(item for name in names for item in known[name]))


def _with_network(clusters: Sequence[Cluster]) -> list[Cluster]:
    """Return the clusters that have a network."""
    from kgctl.errors import MeshError

    found = []
    for one in clusters:
        with suppress(MeshError):
            one.reading.topology()
            found.append(one)
    return found


def _chosen(listing: Listing, names: list[str]) -> list[dict[str, object]]:
    items = {str(item["name"]): item for item in listing.items}
    missing = [name for name in names if name not in items]
    if missing:
        raise _unknown(listing.kind, missing[0], items)
    return [items[name] for name in names]


def _unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    found = nearest(name, known)
    hint = f'; did you mean "{printable(found)}"?' if found else ""
    return UnknownNameError(f'there is no {kind} named "{printable(name)}"{hint}')


def _show(listing: Listing, chosen: ListFormat, *, single: bool) -> None:
    if chosen.table is not None and not listing.items:
        note(f"no {listing.plural} found")
    elif chosen.table is not None and on_terminal():
        from rich.console import Console

        console = Console()  # obeys NO_COLOR
        table, left_out = chosen.table.shown(listing, console.width)
        console.print(table)
        if left_out:
            note(f"too narrow for {', '.join(left_out)}; -o wide and -o json have all columns")
    else:
        answer(chosen.write(listing, single))
