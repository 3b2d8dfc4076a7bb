"""Parser of the shared options by the table, without Typer, and their values.

The head start and the plain call use it. It reads a line as Typer does, or returns nothing: Typer
handles mistakes and ambiguous lines. ``tests/cli/core/test_line.py`` compares both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.cli.core.table import COMMANDS, HELP, OPTIONS, VERSION, switched_off
from kgctl.kilo import TOPOLOGY_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.cli.core.table import Command, Option


class Shared(NamedTuple):
    """The values of the options that every command has; None for one that was not given."""

    kubeconfig: str | None = None
    contexts: list[str] | None = None
    named: list[str] | None = None
    request_timeout: str | None = None
    max_list_size: str | None = None
    filename: list[str] | None = None
    example: bool | None = None
    at: str | None = None
    mesh_granularity: str | None = None
    topology_label: str | None = None
    port: int | None = None
    backend: str | None = None
    debug: bool | None = None
    context: str | None = None
    """The context, if exactly one was given."""
    around: bool | None = None
    """Set if ``filename`` is the folder of a network that the line does not name."""

    def over(self, outer: Shared | None) -> Shared:
        """Merge these options over those before the command's name."""
        values: dict[str, Any] = self._asdict()
        if outer is not None:
            for name, inner, before in zip(self._fields, self, outer, strict=True):
                values[name] = before if inner is None else inner
            for name in _REPEATABLE:
                values[name] = [*(getattr(outer, name) or ()), *(getattr(self, name) or ())]
                values[name] = values[name] or None
        contexts = list(dict.fromkeys(values["contexts"] or ()))
        values["contexts"] = contexts or None
        values["context"] = contexts[0] if len(contexts) == 1 else None
        return Shared(**values)

    @property
    def location_label(self) -> str:
        """The node label with the location: the given one, else the default of Kilo's agents."""
        return self.topology_label or TOPOLOGY_LABEL

    @property
    def several(self) -> bool:
        """Whether more than one cluster was named."""
        return len(self.contexts or ()) + len(self.named or ()) > 1


_REPEATABLE = tuple(option.field for option in OPTIONS if option.kind == "texts")


_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))

_NUMBERS = {option.field for option in OPTIONS if option.kind == "number"}
_BY_NAME = {name: one for one in OPTIONS for name in (one.name, one.short, one.off) if name}

SWITCHES = {
    name: switched_off(name)
    for name in (
        *(option.name for option in OPTIONS if option.kind == "switch"),
        *(name for command in COMMANDS.values() for name in command.switches),
    )
}
"""The switches that accept a truth value, and the options that switch them off."""


def normalised(arguments: Sequence[str]) -> list[str]:
    """Rewrite ``--switch=true|false`` and ``-o=value`` in the form that Typer accepts.

    Truth values are those of Go's ``strconv.ParseBool``. Arguments after ``--`` stay as they are.
    """
    if "--" not in arguments:
        return list(_rewritten(arguments))
    end = arguments.index("--")
    return [*_rewritten(arguments[:end]), *arguments[end:]]


def _rewritten(arguments: Sequence[str]) -> Iterator[str]:
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in SWITCHES and value in _TRUE:
            yield name
        elif equals and name in SWITCHES and value in _FALSE:
            yield SWITCHES[name]
        elif (
            equals and len(name) == 2 and name[0] == "-" and name[1].isascii() and name[1].isalpha()
        ):
            yield from (name, value)
        else:
            yield argument


class Line(NamedTuple):
    """The command line of a command that reads a live cluster.

    ``words`` are the command and its arguments without options. ``plain`` is set if the plain call
    understands all options.
    """

    command: Command
    words: tuple[str, ...]
    shared: Shared
    plain: bool


class _UnsureError(Exception):
    """The line is wrong or ambiguous: Typer has to read it."""


def read_line(arguments: Sequence[str]) -> Line | None:
    """Parse a command line; return None if its command does not read a cluster, or if in doubt."""
    reader = _Reader()
    try:
        reader.read(iter(normalised(arguments)))
    except _UnsureError:
        return None
    if reader.command is None:
        return None
    shared = Shared(**reader.given).over(None)
    return Line(reader.command, tuple(reader.words), shared, reader.plain)


class _Reader:
    """Reads the words of one command line."""

    def __init__(self) -> None:
        self.command: Command | None = None
        self.words: list[str] = []
        self.given: dict[str, Any] = {}
        self.plain = True

    def read(self, words: Iterator[str]) -> None:
        """Read all words.

        Raises:
            _UnsureError: the line is wrong, or its command does not read a cluster.
        """
        for word in words:
            if word == "--":
                self._rest(words)
            elif word == "-" or not word.startswith("-"):
                self._word(word)
            elif word.startswith("--"):
                name, equals, value = word.partition("=")
                self._option(name, value if equals else None, words)
            else:
                self._letters(word, words)
        for field in _NUMBERS & self.given.keys():  # Typer checks only the last of several
            self.given[field] = _number(self.given[field])

    def _word(self, word: str) -> None:
        if self.command is None:
            self.command = COMMANDS.get(word)
            if self.command is None or not self.command.reads:
                raise _UnsureError
        self.words.append(word)

    def _rest(self, words: Iterator[str]) -> None:
        """Read the words after ``--`` as arguments; after that of a group, options may follow."""
        if self.command is None or len(self.words) <= self.command.group:
            raise _UnsureError
        self.plain = False
        self.words.extend(words)

    def _letters(self, word: str, words: Iterator[str]) -> None:
        """Read one or more short options in one word; the value of the last may follow directly."""
        for index, letter in enumerate(word[1:], 2):
            name = f"-{letter}"
            if self._takes_value(name):
                self._option(name, word[index:] or None, words)
                return
            self._option(name, None, words)

    def _takes_value(self, name: str) -> bool:
        option = _BY_NAME.get(name)
        if option is not None:
            return option.kind != "switch"
        return self.command is not None and name in self.command.valued

    def _option(self, name: str, value: str | None, words: Iterator[str]) -> None:
        if self._takes_value(name):
            if value is None:
                value = next(words, None)
            if value is None:
                raise _UnsureError
        option = _BY_NAME.get(name)
        if option is not None:
            self._note(option, name, value)
        elif self.command is None or name in VERSION or name in HELP:
            raise _UnsureError
        else:
            self.plain = False

    def _note(self, option: Option, name: str, value: str | None) -> None:
        if option.kind == "switch":
            if value is not None:
                raise _UnsureError
            self.given[option.field] = name == option.name
        elif option.kind == "texts":
            self.given.setdefault(option.field, []).append(value)
        else:
            self.given[option.field] = value
        # an empty value, or one that looks like an option, is likely a mistake: Typer reports it
        if not option.plain or value == "" or (value or "")[:1] == "-" != value:
            self.plain = False


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _UnsureError from None
