"""The option ``--output``, made of a table of formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence


class Named(Protocol):
    """A format of any table."""

    @property
    def name(self) -> str:
        """What ``--output`` calls it."""


Format = TypeVar("Format", bound=Named)


def format_option(formats: Sequence[Named], text: str) -> Any:
    """Return ``--output``, which takes the names of ``formats`` and completes them."""
    names = [one.name for one in formats if one.name]

    def checked(value: str) -> str:
        if value not in names:
            choices = ", ".join(map(repr, names))
            raise typer.BadParameter(f"{value!r} is not one of {choices}.")
        return value

    def complete() -> list[str]:
        return names

    metavar = f"<{'|'.join(names)}>"
    return typer.Option(
        "--output", "-o", help=text, metavar=metavar, parser=checked, autocompletion=complete
    )


def format_named(formats: Sequence[Format], name: str) -> Format:
    """Return the format of that name, which ``format_option`` has checked."""
    (found,) = (one for one in formats if one.name == name)
    return found
