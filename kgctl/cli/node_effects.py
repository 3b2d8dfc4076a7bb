"""What Kilo's agents make of annotations that change: more, or less, than the annotations tell.

An agent keeps the endpoint and the internal IP that it once had in force: it copies forced ones
into the annotations ``endpoint`` and ``internal-ip`` at its next check-in, within 30 s.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from kgctl.cli.core.output import note
from kgctl.kilo import PREFIX
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kgctl.kube.objects import NodeObject

    Changes = Mapping[str, str | None]

_SHOWN = 10  # lines; the rest is counted
_COPIES = {"force-endpoint": "endpoint", "force-internal-ip": "internal-ip"}
_NO_ADDRESS = ("", "-")


def note_effects(nodes: Iterable[NodeObject], changes: Changes) -> None:
    """Print on stderr what removing forced values does on nodes, and what undoes them."""
    lines = list(chain.from_iterable(_effects(node, changes) for node in nodes))
    for line in islice(lines, _SHOWN):
        note(line)
    if len(lines) > _SHOWN:
        note(f"and so for {len(lines) - _SHOWN} more nodes")


def changes_later(nodes: Iterable[NodeObject], changes: Changes) -> bool:
    """Tell whether the network changes once agents have checked in, in a way not known now."""
    return any(_finds_address(node, changes) for node in nodes)


def _effects(node: NodeObject, changes: Changes) -> Iterator[str]:
    name = printable(node.name)
    for forced, copy in _COPIES.items():
        text = node.annotations.get(PREFIX + forced)
        if not _removed(changes, forced) or text is None:
            continue
        if _finds_address(node, changes) and copy == "internal-ip":
            yield (
                f"{name}: within 30 s its agent writes the internal IP that it finds, and then the "
                "network changes: the node joins its location; to go back: "
                f"kgctl node set {name} --force-internal-ip -"
            )
        elif text == node.annotations.get(PREFIX + copy):
            yield (
                f"{name}: nothing is undone: its agent has copied {printable(text, 80)} into the "
                f"annotation {copy}, which stays in force; for it to find its own: "
                f"kubectl annotate node {name} {PREFIX}{copy}-, which costs the node up to 30 s "
                "out of the network, or restart Kilo's pod there"
            )


def _removed(changes: Changes, name: str) -> bool:
    return changes.get(PREFIX + name, "") is None


def _finds_address(node: NodeObject, changes: Changes) -> bool:
    """Tell whether an agent that was told to have no internal IP may have one again."""
    return (
        _removed(changes, "force-internal-ip")
        and node.annotations.get(PREFIX + "force-internal-ip") in _NO_ADDRESS
    )
