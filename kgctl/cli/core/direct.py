"""Plain calls, carried out at once: ``graph``, ``showconf node NAME``, ``showconf peer NAME``.

People type them all day, and scripts call them in loops; Typer takes half as long to import as such
a call takes in all (20 to 40 of 100 ms). So those that have no other options than what says which
cluster is read, each written in full, are told here. Whatever else there is to a command line, a
mistake included, is left to Typer, which reads these calls in the same way: a test holds that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from kgctl.cli.core.options import Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_OPTIONS = {
    "--kubeconfig": "kubeconfig",
    "--context": "contexts",
    "--request-timeout": "request_timeout",
    "--topology-label": "topology_label",
    "--mesh-granularity": "mesh_granularity",
    "--at": "at",
    "--filename": "filename",
    "-f": "filename",
}
"""The options with a value that are read here, and their fields."""

_SWITCH = "--example"
_REPEATABLE = frozenset({"contexts", "filename"})


def plain_call(arguments: Sequence[str]) -> Callable[[], None] | None:
    """Return what carries out the command line ``arguments``, or None if it is not as plain.

    What it returns raises ``KgctlError`` for what cannot be read, or is not there.
    """
    commands: list[str] = []
    levels: list[dict[str, Any]] = [{}]
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            commands.append(word)
            levels.append({})
        elif not _take(word, words, levels[-1]):
            return None
    shared = Shared()
    for given in levels:
        shared = Shared(**given).over(shared)
    return None if shared.several else _call(commands, shared)


def _take(word: str, words: Iterator[str], given: dict[str, Any]) -> bool:
    """Note the option ``word`` and its value, or return False."""
    if word == _SWITCH:
        given["example"] = True
        return True
    name, equals, value = word.partition("=")
    field = _OPTIONS.get(name)
    value = value if equals else next(words, "")
    if field is None or not value or (value.startswith("-") and value != "-"):
        return False
    if field in _REPEATABLE:
        given.setdefault(field, []).append(value)
    else:
        given[field] = value
    return True


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
