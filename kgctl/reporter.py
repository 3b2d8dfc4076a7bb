"""The interface through which code below the command line reports to its caller."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """A receiver of lines of text, without line breaks.

    The command line prints them (``kgctl.cli.core.output.Printer``); tests collect them.
    """

    def show(self, text: str, /) -> None:
        """Show a part of the result that is ready before the rest, such as a plan."""
        ...

    def inform(self, text: str, /) -> None:
        """Report what was found or decided."""
        ...

    def warn(self, text: str, /) -> None:
        """Report what failed, was refused or was left out, and what to do about it."""
        ...

    def worded(self, error: object, /) -> str:
        """Return the message of an error; the command line adds options that would help."""
        ...

    def setting(self, name: str, value: str = "", /) -> str:
        """Return how to write a setting, such as ``adopt``; the command line returns the option."""
        ...


class LogReporter:
    """A reporter to the standard library's log: the default of the Python API.

    Without any configuration of logging, Python prints warnings to stderr and nothing else.
    """

    def __init__(self) -> None:
        import logging

        self._log = logging.getLogger("kgctl")

    def show(self, text: str, /) -> None:
        """Log the text at the level INFO."""
        self._log.info("%s", text)

    def inform(self, text: str, /) -> None:
        """Log the text at the level INFO."""
        self._log.info("%s", text)

    def warn(self, text: str, /) -> None:
        """Log the text at the level WARNING."""
        self._log.warning("%s", text)

    def worded(self, error: object, /) -> str:
        """Return the message of an error."""
        return str(error)

    def setting(self, name: str, value: str = "", /) -> str:
        """Return the name of a setting, and its value."""
        return plain_setting(name, value)


def plain_setting(name: str, value: str = "") -> str:
    """Return a setting's name in the Python API, and its value."""
    return f"{name} {value}" if value else name
