"""Names and other text from the cluster: shown without letting it act, ordered, found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    short = _SHORT_ESCAPES.get(character)
    if short:
        return short
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def printable(text: str, limit: int = 200) -> str:
    r"""Return ``text`` on one line, with every character that does not print made visible.

    Line breaks, control characters, escape sequences, bidi marks and lone surrogates become
    ``\n``, ``\x1b``, ``\u202e``; what is longer than ``limit`` characters is cut and ends
    in ``…``. Node annotations are written by nodes: they reach a terminal only through here.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def some(texts: Sequence[str], most: int) -> str:
    """Return texts in a row, of which ``most`` are shown at most, and the rest counted."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return f"{', '.join(texts[:most])}{more}"


def bytewise(text: str) -> bytes:
    """Return what to sort text by as Go does: its bytes."""
    return text.encode("utf-8", "surrogatepass")


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like ``name``, or None when none is like it."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(names), n=1)), None)
