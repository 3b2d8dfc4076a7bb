"""Printing: the answer to stdout, whole or not at all; everything else to stderr."""

from __future__ import annotations

import sys


def answer(text: str) -> None:
    """Write the answer to stdout as UTF-8, in one go."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """Write a line to stderr."""
    print(text, file=sys.stderr)  # noqa: T201
