"""Plain calls, carried out at once: ``graph``, ``showconf node NAME``, ``showconf peer NAME``.

People type them all day, and scripts call them in loops; Typer takes half as long to import as such
a call takes in all (20 to 40 of 100 ms). So those that have no other options than what the table
marks as ``plain`` are carried out here. Whatever else there is to a command line, a mistake
included, is left to Typer, which reads these calls in the same way: a test holds that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kgctl.cli.core.line import read_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kgctl.cli.core.options import Shared


def plain_call(arguments: Sequence[str]) -> Callable[[], None] | None:
    """Return what carries out the command line ``arguments``, or None if it is not as plain.

    What it returns raises ``KgctlError`` for what cannot be read, or is not there.
    """
    line = read_line(arguments)
    if line is None or not line.plain or line.shared.several:
        return None
    return _call(line.words, line.shared)


def _call(commands: Sequence[str], shared: Shared) -> Callable[[], None] | None:
    match commands:
        case ["graph"]:
            from kgctl.cli.plain import print_graph

            return partial(print_graph, shared)
        case ["showconf", "node", name] if name:
            from kgctl.cli.plain import print_node

            return partial(print_node, shared, name)
        case ["showconf", "peer", name] if name:
            from kgctl.cli.plain import print_peer

            return partial(print_peer, shared, name)
    return None
