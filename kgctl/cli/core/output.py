"""Printing: the answer to stdout, whole or not at all; everything else to stderr."""

from __future__ import annotations

import os
import sys

from kgctl.mesh.errors import KgctlError


class OutputError(KgctlError):
    """The answer cannot be written: the disk is full, say."""


def answer(text: str) -> None:
    """Write the answer to stdout as UTF-8, in one go.

    Raises:
        BrokenPipeError: whoever was to read it is gone.
        OutputError: it cannot be written for another reason.
    """
    answer_bytes(text.encode("utf-8", "backslashreplace"))


def answer_bytes(content: bytes) -> None:
    """Write an answer that need not be text; for the rest as ``answer`` does."""
    if sys.stdout is None:  # it was closed before kgctl began
        raise OutputError("cannot write the answer: standard output is closed")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_rest()
        raise OutputError(f"cannot write the answer: {error.strerror}") from error


def on_terminal() -> bool:
    """Tell whether a person sees the answer right away."""
    return sys.stdout is not None and sys.stdout.isatty()


def discard_rest() -> None:
    """Let what is still to be written to stdout go nowhere: Python would try again at its end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Write a line to stderr."""
    print(text, file=sys.stderr)  # noqa: T201


class Printer:
    """The ``Reporter`` of the command line."""

    def show(self, text: str, /) -> None:
        """Print a line of the answer to stdout."""
        answer(f"{text}\n")

    def inform(self, text: str, /) -> None:
        """Print a line to stderr."""
        note(text)

    def warn(self, text: str, /) -> None:
        """Print a line to stderr."""
        note(text)

    def worded(self, error: object, /) -> str:
        """Return the message of an error with the options that would help."""
        from kgctl.cli.hints import message

        return message(error)

    def setting(self, name: str, value: str = "", /) -> str:
        """Return the option of a setting, and its value."""
        option = f"--{name.replace('_', '-')}"
        return f"{option} {value}" if value else option
