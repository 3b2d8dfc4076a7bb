"""``kgctl graph``: the network as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgctl.cli.arguments import UsageError
from kgctl.cli.completing import complete_node
from kgctl.cli.output import answer
from kgctl.cli.plain import print_graph
from kgctl.cli.shared import Shared, of_several, with_shared

app = typer.Typer(add_completion=False, rich_markup_mode=None)

FORMATS = ("dot", "svg", "png", "pdf", "mermaid", "json", "tree", "html")
STYLES = ("plain", "rich")
ENDINGS = {".gv": "dot", ".mmd": "mermaid", ".txt": "tree", **{f".{one}": one for one in FORMATS}}
"""What the name of a file says of its format."""


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
            metavar=_choice(*FORMATS),
            help="The format. Default: what the ending of --output-file says, else dot.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    output_file: Annotated[
        Path | None,
        typer.Option("--output-file", "-O", metavar="FILE", help="Write it into a file."),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(
            metavar=_choice(*STYLES),
            help="plain: the graph of Kilo's own kgctl. rich: with locations, states, a legend. "
            "Default: plain for a dot without further options, else rich.",
            autocompletion=lambda: list(STYLES),
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="dot|neato|fdp|sfdp|circo|twopi",
            help="Graphviz's program that lays it out. Default: dot.",
        ),
    ] = None,
    collapse: Annotated[
        bool | None,
        typer.Option(
            "--collapse/--no-collapse",
            help="Draw one node for each location. Default: where there are too many nodes.",
            show_default=False,
        ),
    ] = None,
    focus: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Draw this node or peer, and what is near it.",
            autocompletion=complete_node,
        ),
    ] = None,
    hops: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="--focus: as many links away. Default: 1."),
    ] = None,
    location: Annotated[
        str | None, typer.Option(metavar="NAME", help="Draw this location alone, and the peers.")
    ] = None,
    no_peers: Annotated[bool, typer.Option("--no-peers", help="Draw no peers.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="-o tree: draw it anew whenever it changes.")
    ] = False,
) -> None:
    """Draw the network: for Graphviz, as a picture, a page, or a tree for the terminal.

    For example: kgctl graph -O kilo.svg
    """
    chosen = _format(output, output_file)
    if watch and (chosen != "tree" or output_file is not None):
        raise UsageError("--watch draws a tree on the terminal anew: -o tree, without a file")
    shaped = collapse is not None or focus is not None or location is not None or no_peers
    plain = _is_plain(chosen, style, shaped=shaped)
    if chosen == "dot" and plain and output_file is None and layout is None and not shared.several:
        print_graph(shared)
        return
    if chosen == "html" and not shared.several:
        if shaped or style is not None or layout is not None:
            raise UsageError("-o html is the whole network, shaped in the browser; give -O alone")
        _write_page(shared, output_file)
        return
    from kgctl.cli.pictures import Wanted, show, show_clusters

    wanted = Wanted(
        chosen, output_file, plain, layout, collapse, focus, 1 if hops is None else hops, location,
        no_peers, watch,
    )  # fmt: skip
    (show_clusters if shared.several else show)(shared, wanted)


def _write_page(shared: Shared, file: Path | None) -> None:
    from kgctl.cli.page import read_page

    page = read_page(shared)
    if file is None:
        answer(page)
        return
    from kgctl.files.writing import write_public

    write_public(file, page.encode("utf-8", "backslashreplace"))


def _format(output: str | None, file: Path | None) -> str:
    if output is None and file is not None:
        output = ENDINGS.get(file.suffix.lower())
        if output is None:
            raise UsageError(
                f"the ending of --output-file says no format; give -o {_choice(*FORMATS)}"
            )
    return _one_of("--output", output or "dot", FORMATS)


def _is_plain(chosen: str, style: str | None, *, shaped: bool) -> bool:
    drawn = chosen in ("dot", "svg", "png", "pdf")
    if style is None:
        return chosen == "dot" and not shaped
    _one_of("--style", style, STYLES)
    if not drawn:
        raise UsageError(f"--style is for dot, svg, png and pdf; {chosen} has one of its own")
    if style == "plain" and shaped:
        raise UsageError(
            "--style plain is the whole graph; --collapse, --focus, --location and --no-peers "
            "go with --style rich"
        )
    return style == "plain"


def _one_of(option: str, value: str, values: tuple[str, ...]) -> str:
    if value not in values:
        from kgctl.mesh.text import printable

        raise UsageError(
            f'{option} "{printable(value)}" is unknown; it is one of: {", ".join(values)}'
        )
    return value
