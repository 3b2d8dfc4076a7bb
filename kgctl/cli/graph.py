"""``kgctl graph``: the network as a picture."""

from __future__ import annotations

import typer

from kgctl.cli.output import answer
from kgctl.cli.shared import Shared, with_shared

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
def graph(shared: Shared) -> None:
    """Print the network as a graph in Graphviz's DOT language.

    Draw it with, for example: kgctl graph | dot -Tsvg > kilo.svg
    """
    from kgctl.cli.reading import read
    from kgctl.render.dot import to_dot

    answer(to_dot(read(shared).topology()))
