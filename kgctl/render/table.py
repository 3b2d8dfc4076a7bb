"""A listing as a table: aligned columns for a pipe, a rich table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kgctl.render.listing import Listing

_GAP = "   "


def to_columns(listing: Listing, *, wide: bool = False) -> str:
    """Return plain aligned columns as kubectl prints them, with three spaces between two."""
    table = [listing.titles(wide=wide), *listing.rows(wide=wide)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in table
    )


def print_table(listing: Listing, *, wide: bool = False) -> None:
    """Print a rich table on the terminal that stdout is; ``NO_COLOR`` is obeyed."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in listing.titles(wide=wide):
        table.add_column(title, overflow="fold")
    for item, row in zip(listing.items, listing.rows(wide=wide), strict=True):
        cells = [Text(cell) for cell in row]
        if "ready" in item:
            cells[-1].stylize("green" if item["ready"] else "red")
        table.add_row(*cells)
    Console().print(table)
