"""``kgctl graph``: the network as a picture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgctl.cli.output import answer
from kgctl.cli.shared import Shared, with_shared

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Format(StrEnum):
    """How the network is drawn."""

    DOT = "dot"
    HTML = "html"


@app.command()
@with_shared
def graph(
    shared: Shared,
    output: Annotated[
        Format | None,
        typer.Option("--output", "-o", help="The format. Default: dot; html with -O NAME.html."),
    ] = None,
    output_file: Annotated[
        Path | None,
        typer.Option("--output-file", "-O", metavar="FILE", help="Write it into a file."),
    ] = None,
) -> None:
    """Draw the network: in Graphviz's DOT language, or as a page for a browser.

    Draw it with, for example: kgctl graph | dot -Tsvg > kilo.svg
    """
    page = output is Format.HTML or (
        output is None and output_file is not None and output_file.suffix.lower() == ".html"
    )
    text = _page(shared) if page else _dot(shared)
    if output_file is None:
        answer(text)
        return
    from kgctl.cli.files import write_public

    write_public(output_file, text.encode("utf-8", "backslashreplace"))


def _page(shared: Shared) -> str:
    from kgctl.cli.page import read_page

    return read_page(shared)


def _dot(shared: Shared) -> str:
    from kgctl.cli.reading import read
    from kgctl.render.dot import to_dot

    return to_dot(read(shared).topology())
