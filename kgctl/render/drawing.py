"""From DOT to SVG, PNG and PDF, by Graphviz's programs."""

from __future__ import annotations

from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable

LAYOUTS = ("dot", "neato", "fdp", "sfdp", "circo", "twopi")
"""Graphviz's programs, each of which lays graphs out in its own way."""


class GraphvizMissingError(KgctlError):
    """Graphviz is not installed."""


class GraphvizError(KgctlError):
    """Graphviz does not draw a graph; the message has what it said last."""


def draw(dot: str, kind: str, layout: str) -> bytes:
    """Return the picture of a graph as a file of ``kind``: svg, png or pdf.

    Raises:
        GraphvizMissingError: the program is not there.
        GraphvizError: it fails.
    """
    import subprocess

    import graphviz

    try:
        drawn: bytes = graphviz.pipe(
            layout, kind, dot.encode("utf-8", "backslashreplace"), quiet=True
        )
    except graphviz.ExecutableNotFound:
        raise GraphvizMissingError(f"cannot draw: Graphviz's program {layout} is missing") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        reason = printable(said[-1]) if said else f"it ended with {error.returncode}"
        raise GraphvizError(f"Graphviz's {layout} does not draw the graph: {reason}") from None
    return drawn
