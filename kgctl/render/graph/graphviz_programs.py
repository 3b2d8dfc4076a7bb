"""Conversion of DOT to SVG, PNG and PDF by Graphviz's programs."""

from __future__ import annotations

from kgctl.errors import KgctlError
from kgctl.mesh.text import printable

LAYOUTS = ("dot", "neato", "fdp", "sfdp", "circo", "twopi")
"""Graphviz's programs, one per layout algorithm."""


class GraphvizMissingError(KgctlError):
    """Graphviz is not installed."""


class GraphvizError(KgctlError):
    """Graphviz cannot draw a graph; the message has the first line of its output."""


class GraphvizPluginError(GraphvizError):
    """Graphviz lacks the plugin that a layout or a format needs.

    ``plugin`` is Graphviz's name of the plugin. ``registered`` is False if the plugin may be
    installed, and only the list of plugins is missing (``dot -c`` creates it).
    """

    def __init__(self, message: str, plugin: str, registered: bool) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.registered = registered


def draw(dot: str, kind: str, layout: str) -> bytes:
    """Return the drawn graph as the content of a file of ``kind``: svg, png or pdf.

    Raises:
        GraphvizMissingError: the program is not installed.
        GraphvizPluginError: Graphviz lacks that layout, or that kind of file.
        GraphvizError: the program fails.
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
        raise _failure(layout, error.returncode, error.stderr or b"") from None
    return drawn


def draw_within(dot: str, kind: str, layout: str, seconds: float) -> bytes:
    """Return the drawn graph like ``draw``, by the program ``dot``, within a time limit.

    Raises:
        GraphvizMissingError: the program is not installed.
        GraphvizPluginError: Graphviz lacks that layout, or that kind of file.
        GraphvizError: the program fails, or takes longer.
    """
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603 - no shell; the caller names the kind and the layout
            ["dot", f"-K{layout}", f"-T{kind}"],  # noqa: S607
            input=dot.encode("utf-8", "backslashreplace"),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except OSError:
        raise GraphvizMissingError("cannot draw: Graphviz's program dot is missing") from None
    except subprocess.TimeoutExpired:
        raise GraphvizError(
            f"Graphviz's {layout} did not draw the graph within {seconds:g} seconds"
        ) from None
    if done.returncode:
        raise _failure(layout, done.returncode, done.stderr)
    return done.stdout


def _failure(layout: str, code: int, stderr: bytes) -> GraphvizError:
    """Return the error for Graphviz's output, whose first line without a warning is the reason."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    said = [line for line in lines if line and not line.startswith("Warning")] or lines
    reason = printable(said[0], 300) if said and said[0] else f"exit status {code}"
    message = f"Graphviz's {layout} cannot draw the graph: {reason}"
    plugin = _plugin(said[0] if said else "")
    if plugin is None:
        return GraphvizError(message)
    return GraphvizPluginError(message, plugin, registered=not any("dot -c" in one for one in said))


def _plugin(line: str) -> str | None:
    """Return the plugin that Graphviz lacks; one plugin has all layouts except ``dot``."""
    if line.startswith("There is no layout engine support for"):
        return "dot_layout" if '"dot"' in line else "neato_layout"
    if line.startswith("Format:") and "not recognized" in line:
        return "core" if '"svg"' in line else "pango"
    return None
