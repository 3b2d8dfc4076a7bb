"""The table of formats of lists, and their writers.

``kgctl get`` takes its options from the table. A writer imports its modules when it is called. A
listing becomes aligned columns in a pipe, and a rich table on a terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from kgctl.render.lists.listing import Listing


class TableForm(NamedTuple):
    """The form of a table on a terminal.

    ``wide``: with every column; else columns that do not fit are omitted.
    """

    wide: bool

    def shown(self, listing: Listing, width: int) -> tuple[Table, list[str]]:
        """Return the table for ``width`` characters, and the titles of omitted columns."""
        fitting = listing if self.wide else fitted(listing, width)
        kept = fitting.titles(wide=self.wide)
        left_out = [title for title in listing.titles(wide=self.wide) if title not in kept]
        return terminal_table(fitting, wide=self.wide), left_out


class ListFormat(NamedTuple):
    """A format of lists.

    ``write`` returns the text of a listing; its second argument is True for one object that was
    requested by name. ``table`` is None for a format for programs; an empty table is not printed.
    """

    name: str
    write: Callable[[Listing, bool], str]
    table: TableForm | None


def _table(listing: Listing, _single: bool) -> str:
    return to_columns(listing)


def _wide(listing: Listing, _single: bool) -> str:
    return to_columns(listing, wide=True)


def _json(listing: Listing, single: bool) -> str:
    from kgctl.kube.codec.structured import to_json

    return to_json(_value(listing, single))


def _yaml(listing: Listing, single: bool) -> str:
    from kgctl.kube.codec.structured import to_yaml

    return to_yaml(_value(listing, single))


def _value(listing: Listing, single: bool) -> object:
    return listing.items[0] if single else {"items": list(listing.items)}


def _names(listing: Listing, _single: bool) -> str:
    return "".join(f"{name}\n" for name in listing.names())


TABLE = ListFormat("", _table, TableForm(wide=False))
"""The default format."""

LIST_FORMATS = (
    TABLE,
    ListFormat("wide", _wide, TableForm(wide=True)),
    ListFormat("json", _json, table=None),
    ListFormat("yaml", _yaml, table=None),
    ListFormat("name", _names, table=None),
)
"""All formats of lists; the nameless one is not a value of ``-o``."""


_GAP = "   "
_LAST = 24  # characters of the last column, which has the reasons and may wrap


def to_columns(listing: Listing, *, wide: bool = False) -> str:
    """Return plain aligned columns as kubectl prints them, three spaces apart."""
    table = [listing.titles(wide=wide), *listing.rows(wide=wide)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in table
    )


def fitted(listing: Listing, width: int) -> Listing:
    """Return the listing without the optional columns that do not fit."""
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
    """Return a table for a terminal, in which long cells wrap."""
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
