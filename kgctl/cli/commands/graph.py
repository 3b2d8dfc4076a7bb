"""``kgctl graph``: draw the network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.choices import complete_node, format_named
from kgctl.cli.core.shared import Shared, of_several, with_shared
from kgctl.mesh.text import listed
from kgctl.render.graph.formats import DOT, GRAPH_FORMATS, PLAIN, STYLES, GraphFormat
from kgctl.render.graph.graphviz_programs import LAYOUTS

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_NAMES = tuple(one.name for one in GRAPH_FORMATS)
_STYLED = [one.name for one in GRAPH_FORMATS if one.style is not None]


def _choice(*values: str) -> str:
    return "|".join(values)


@app.command()
@with_shared
@of_several
def graph(
    shared: Shared,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar=_choice(*_NAMES),
            help="The output format. Default: by the extension of --output-file, else dot.",
            autocompletion=lambda: list(_NAMES),
        ),
    ] = None,
    output_file: Annotated[
        Path | None,
        typer.Option("--output-file", "-O", metavar="FILE", help="Write to this file."),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(
            metavar=_choice(*STYLES),
            help="plain: the graph of Kilo's own kgctl. rich: with locations, states, a legend. "
            "Default: plain for -o dot without further options, else rich.",
            autocompletion=lambda: list(STYLES),
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar=_choice(*LAYOUTS),
            help="The Graphviz layout program. Default: dot.",
        ),
    ] = None,
    collapse: Annotated[
        bool | None,
        typer.Option(
            "--collapse/--no-collapse",
            help="Draw one node for each location. Default: if there are too many nodes.",
            show_default=False,
        ),
    ] = None,
    focus: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Draw only this node or peer and its neighbours.",
            autocompletion=complete_node,
        ),
    ] = None,
    hops: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="With --focus: the number of hops. Default: 1."),
    ] = None,
    location: Annotated[
        str | None, typer.Option(metavar="NAME", help="Draw only this location and the peers.")
    ] = None,
    no_peers: Annotated[bool, typer.Option("--no-peers", help="Draw no peers.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="With -o tree: redraw it at every change.")
    ] = False,
) -> None:
    """Draw the network for Graphviz, or as a picture, a page, or a tree in the terminal.

    For example: kgctl graph -O kilo.svg
    """
    chosen = _format(output, output_file)
    if watch and (chosen.terminal is None or output_file is not None):
        watched = " or ".join(f"-o {one.name}" for one in GRAPH_FORMATS if one.terminal is not None)
        raise UsageError(f"--watch redraws a tree in the terminal: {watched}, without a file")
    shaped = collapse is not None or focus is not None or location is not None or no_peers
    plain = _is_plain(chosen, style, shaped=shaped)
    from kgctl.cli.commands.pictures import Wanted, show, show_clusters

    wanted = Wanted(
        chosen, output_file, plain, layout, collapse, focus, 1 if hops is None else hops, location,
        no_peers, watch,
    )  # fmt: skip
    (show_clusters if shared.several else show)(shared, wanted)


def _format(output: str | None, file: Path | None) -> GraphFormat:
    if output is None and file is None:
        return DOT
    if output is None:
        ending = file.suffix.lower() if file is not None else ""
        found = [one for one in GRAPH_FORMATS if ending in one.endings]
        if not found:
            raise UsageError(
                f"the extension of --output-file is unknown; give -o {_choice(*_NAMES)}"
            )
        return found[0]
    return format_named(GRAPH_FORMATS, _one_of("--output", output, _NAMES))


def _is_plain(chosen: GraphFormat, style: str | None, *, shaped: bool) -> bool:
    if style is None:
        return chosen.style == PLAIN and not shaped
    _one_of("--style", style, STYLES)
    if chosen.style is None:
        raise UsageError(f"--style is for {listed(_STYLED)}; {chosen.name} has its own style")
    if style == PLAIN and shaped:
        raise UsageError(
            "--style plain draws the whole graph; --collapse, --focus, --location and --no-peers "
            "need --style rich"
        )
    return style == PLAIN


def _one_of(option: str, value: str, values: tuple[str, ...]) -> str:
    if value not in values:
        from kgctl.mesh.text import printable

        raise UsageError(
            f'{option} "{printable(value)}" is unknown; give one of: {", ".join(values)}'
        )
    return value
