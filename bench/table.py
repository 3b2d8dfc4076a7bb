"""Tables and numbers in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def seconds(value: float) -> str:
    """Return seconds with the significant digits."""
    return (
        f"{value:.0f} s" if value >= 100 else f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"
    )


def milliseconds(value: float) -> str:
    """Return seconds as milliseconds."""
    return f"{value * 1000:.0f} ms"


def megabytes(value: float) -> str:
    """Return bytes as megabytes, of a million bytes each."""
    return f"{value / 1e6:.0f} MB"


def verdict(measured: float, target: float) -> str:
    """Return whether a figure is within its target, in words."""
    return "yes" if measured <= target else f"no, {measured / target:.1f} times"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table; the first column is text, the others are numbers."""
    lines = [
        "| " + " | ".join(head) + " |",
        "|" + "|".join([" --- ", *[" ---: "] * (len(head) - 1)]) + "|",
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"
