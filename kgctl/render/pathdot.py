"""A path as edges that are drawn into the graph of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.render.graph.dot import edge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.path.walk import Path

THERE, BACK, STOPPED = "forestgreen", "royalblue", "crimson"


def path_edges(path: Path) -> Iterator[str]:
    """Yield the lines of DOT that draw the path: there and back, numbered, dotted where clear.

    The machine at which a packet stops is drawn in red, with the reason.
    """
    for walk, colour in ((path.there, THERE), (path.back, BACK)):
        if walk is None:
            continue
        for number, hop in enumerate(walk.hops, 1):
            style = "bold" if hop.encrypted else "dotted"
            label = f"{number}" if colour == THERE else f"back {number}"
            yield edge(
                hop.start.full_name,
                hop.end.full_name,
                label,
                color=colour,
                style=style,
                constraint="false",
            )
        if walk.failure is not None:
            name = walk.failure.machine.full_name
            yield edge(name, name, walk.failure.why, color=STOPPED, fontcolor=STOPPED)
