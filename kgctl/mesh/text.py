"""Helpers for text: decoding, escaping untrusted names, sorting, suggestions, Go's notations.

Integers are those of ``strconv.ParseInt``. Go writes durations as ``30s``, ``1m30s`` or ``1.5h``.
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
    """A file is not text; the message has the line and what to do."""


def decoded(content: bytes) -> str:
    """Return the text of a file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    PowerShell's ``>`` writes UTF-16, and some editors start UTF-8 files with a byte order mark.

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
    """Return the encoding of a file, and the length of its byte order mark."""
    for mark, encoding in _ENCODINGS:
        if content.startswith(mark):
            return encoding, len(mark)
    zeros = "".join("a" if byte else "0" for byte in content[:4])  # the first two are ASCII
    without_mark = {"a0a0": "utf-16-le", "0a0a": "utf-16-be", "a000": "utf-32-le"}
    return without_mark.get(zeros, "utf-32-be" if zeros == "000a" else "utf-8"), 0


def without_logins(text: str) -> str:
    """Return a text without the user info and the query of URLs, which may hold a password.

    The errors of libraries often quote a URL.
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
    r"""Return ``text`` on one line, with every unprintable character escaped.

    Line breaks, control characters, escape sequences, bidi marks and lone surrogates become
    ``\n``, ``\x1b``, ``\u202e``. A text longer than ``limit`` characters is cut and ends in
    ``…``. Nodes write their annotations, so these reach a terminal only through this function.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def some(texts: Sequence[str], most: int) -> str:
    """Return the first ``most`` texts in a row, and the count of the rest."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return f"{', '.join(texts[:most])}{more}"


def time_text(seconds: int) -> str:
    """Return a time in Unix seconds by RFC 3339, in UTC, such as ``2027-01-31T12:00:00Z``.

    The days are counted in years that begin in March, so that a leap day is the last one of a year
    (http://howardhinnant.github.io/date_algorithms.html#civil_from_days).
    """
    days, second = divmod(seconds, 86400)
    era, day = divmod(days + 719468, 146097)  # of 400 years, from 0000-03-01 on
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    year, month = (year, month + 3) if month < 10 else (year + 1, month - 9)
    hour, second = divmod(second, 3600)
    date = f"{400 * era + year:04}-{month:02}-{day + 1:02}"
    return f"{date}T{hour:02}:{second // 60:02}:{second % 60:02}Z"


def bytewise(text: str) -> bytes:
    """Return the sort key of a text in Go's order: its bytes."""
    return text.encode("utf-8", "surrogatepass")


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name most similar to ``name``, or None if none is similar."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(names), n=1)), None)


def listed(names: Sequence[str], word: str = "and") -> str:
    """Join names into a phrase: ``dot, svg and png``."""
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def first_twice(names: Sequence[str]) -> str | None:
    """Return the first name that occurs twice, or None."""
    return next((name for name in names if names.count(name) > 1), None)


INT64 = range(-(2**63), 2**63)
"""The range of Go's int64, which Kilo uses."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


def parse_integer(text: str) -> int | None:
    """Parse an integer as Go's ``strconv.ParseInt(text, 10, 64)`` does, or return None."""
    plain = text.isascii() and text.isdigit() and len(text) < 20
    if not plain and _INTEGER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number in INT64 else None


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(h|ms|m|s|us|µs|ns)"


def parse_duration(text: str) -> float | None:
    """Parse a duration in the notation of Go's ``time.ParseDuration`` into seconds.

    Return None if it is not a duration or has a sign: no duration here can be negative.
    """
    if text == "0":
        return 0.0
    parts = list(re.finditer(_PART, text))
    if not parts or "".join(part.group() for part in parts) != text:
        return None
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts)
