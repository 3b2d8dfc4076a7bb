"""The formats of lists: the table from which ``kgctl get`` takes its options.

A writer imports what it needs when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from kgctl.render.lists.listing import Listing


class TableForm(NamedTuple):
    """How a format that is a table is shown on a terminal.

    ``wide``: with every column; else those that do not fit are left out.
    """

    wide: bool

    def shown(self, listing: Listing, width: int) -> tuple[Table, list[str]]:
        """Return the table for so many characters, and the titles that were left out."""
        from kgctl.render.lists.table import fitted, terminal_table

        fitting = listing if self.wide else fitted(listing, width)
        kept = fitting.titles(wide=self.wide)
        left_out = [title for title in listing.titles(wide=self.wide) if title not in kept]
        return terminal_table(fitting, wide=self.wide), left_out


class ListFormat(NamedTuple):
    """A format of lists.

    ``write`` returns the text of a listing; its second argument says that the listing is of one
    object that was asked for by its name. ``table`` is None for what only programs read; an empty
    table is not printed.
    """

    name: str
    write: Callable[[Listing, bool], str]
    table: TableForm | None


def _table(listing: Listing, _single: bool) -> str:
    from kgctl.render.lists.table import to_columns

    return to_columns(listing)


def _wide(listing: Listing, _single: bool) -> str:
    from kgctl.render.lists.table import to_columns

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
"""What is printed where no format is asked for."""

LIST_FORMATS = (
    TABLE,
    ListFormat("wide", _wide, TableForm(wide=True)),
    ListFormat("json", _json, table=None),
    ListFormat("yaml", _yaml, table=None),
    ListFormat("name", _names, table=None),
)
"""Every format of lists; the nameless one is no value of ``-o``."""
