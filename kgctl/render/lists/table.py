"""A listing as a table: aligned columns for a pipe, a rich table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from kgctl.render.lists.listing import Listing

_GAP = "   "
_LAST = 24  # characters of the last column, which has the reasons and may be broken


def to_columns(listing: Listing, *, wide: bool = False) -> str:
    """Return plain aligned columns as kubectl prints them, with three spaces between two."""
    table = [listing.titles(wide=wide), *listing.rows(wide=wide)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in table
    )


def fitted(listing: Listing, width: int) -> Listing:
    """Return the listing without columns that can be spared, so that the others fit."""
    while _width(listing) > width:
        spare = max(listing.columns, key=lambda column: 0 if column.wide else column.spare)
        if spare.wide or not spare.spare:
            break
        columns = tuple(column for column in listing.columns if column is not spare)
        listing = listing._replace(columns=columns)
    return listing


def _width(listing: Listing) -> int:
    table = [listing.titles(wide=False), *listing.rows(wide=False)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    widths[-1] = min(widths[-1], _LAST)
    return sum(widths) + 2 * (len(widths) - 1)


def terminal_table(listing: Listing, *, wide: bool = False) -> Table:
    """Return a table for a terminal, which breaks cells that are too long for it."""
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
    return table
