"""Names and other text from the cluster: shown without letting it act, ordered, found again.

Spans of time as Go writes them: ``30s``, ``1m30s``, ``1.5h``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_ENCODINGS = (  # UTF-32 first: its mark begins with that of UTF-16
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"\xef\xbb\xbf", "utf-8"),
)
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class NotTextError(ValueError):
    """A file's bytes are not text; the message says where, and what to do."""


def decoded(content: bytes) -> str:
    """Return the text of a file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    PowerShell's ``>`` writes UTF-16, and editors put a mark before UTF-8: neither is in the text.

    Raises:
        NotTextError: the bytes are in another encoding, or are not text.
    """
    encoding, start = _encoding(content)
    try:
        return content[start:].decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: start + error.start].decode(encoding, "replace").count("\n") + 1
        raise NotTextError(
            f"line {line} is not {encoding[:6].rstrip('-').upper()} text: save the file as UTF-8"
        ) from None


def _encoding(content: bytes) -> tuple[str, int]:
    """Return the encoding of a file's bytes, and how many of them are its mark."""
    for mark, encoding in _ENCODINGS:
        if content.startswith(mark):
            return encoding, len(mark)
    zeros = "".join("a" if byte else "0" for byte in content[:4])  # the first two are ASCII
    without_mark = {"a0a0": "utf-16-le", "0a0a": "utf-16-be", "a000": "utf-32-le"}
    return without_mark.get(zeros, "utf-32-be" if zeros == "000a" else "utf-8"), 0


def without_logins(text: str) -> str:
    """Return a text without what may hold a password in a URL: a user before ``@``, and a query.

    An error of a library often quotes the URL that it was given.
    """
    if "://" not in text:
        return text
    import re

    return re.sub(r"(://)[^/\s]*@|(?<=[^\s?])\?[^\s\"')]*=[^\s\"')]*", r"\1", text)


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


def listed(names: Sequence[str], word: str = "and") -> str:
    """Return names in a row of words: ``dot, svg and png``."""
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def first_twice(names: Sequence[str]) -> str | None:
    """Return the first name that stands there twice, or None."""
    return next((name for name in names if names.count(name) > 1), None)


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(h|ms|m|s|us|µs|ns)"


def parse_duration(text: str) -> float | None:
    """Return the seconds that ``text`` names in the notation of Go's ``time.ParseDuration``.

    None where it is not a duration, or has a sign: nothing here lasts less than no time.
    """
    if text == "0":
        return 0.0
    parts = list(re.finditer(_PART, text))
    if not parts or "".join(part.group() for part in parts) != text:
        return None
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts)
