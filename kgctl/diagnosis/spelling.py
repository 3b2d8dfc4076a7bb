"""Locations that were meant to be one, as far as their spelling shows."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST = 64  # characters of a name that are compared
_SHORTEST = 4  # letters of a name in which one more or less is a slip
_ALIKE = str.maketrans(
    "авеікмнорсетухіјѕԁԛԝαεικνορτυχ",
    "abeikmhopcetyxijsdqwaeiknoptux",
)
"""Cyrillic and Greek letters that look like Latin ones."""

_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])[\W_]+(?=[0-9])")
_SEPARATORS = re.compile(r"[^\w-]|_|-(?![0-9])|(?<![0-9])-")


def skeleton(name: str) -> str:
    """Return what is left of a name without capitals, blanks, separators, accents, lookalikes.

    A separator between two digits stays: ``rack-1-11`` and ``rack-11-1`` are two.
    """
    # twice: taking letters apart can bring capitals back (as Unicode's NFKC_Casefold has it)
    text = _folded(_folded(name[:_LONGEST]))
    text = "".join(one for one in text if unicodedata.category(one) not in ("Mn", "Cf"))
    return _SEPARATORS.sub("", _BETWEEN_DIGITS.sub("-", text.translate(_ALIKE)))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKD", text.casefold())


def slips(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield two names of which one has a letter more, or two letters swapped; the first by order.

    Names that differ in digits, or in one letter for another (``zone-a`` and ``zone-b``), are no
    slips. The work is that of the names' length, not of comparing each pair.
    """
    plain: dict[str, str] = {}
    for name in sorted(names):
        plain.setdefault(skeleton(name), name)
    shorter: dict[str, list[str]] = {}
    for text in plain:
        for place in range(len(text)):
            if text[place].isalpha():
                shorter.setdefault(text[:place] + text[place + 1 :], []).append(text)
    for text, name in plain.items():
        if len(text) < _SHORTEST:
            continue
        for longer in shorter.get(text, ()):
            yield name, plain[longer]
            break
        for swapped in _swapped(text):
            if swapped in plain and text < swapped:
                yield name, plain[swapped]
                break


def _swapped(text: str) -> Iterator[str]:
    for place in range(len(text) - 1):
        one, other = text[place], text[place + 1]
        if one != other and one.isalpha() and other.isalpha():
            yield text[:place] + other + one + text[place + 2 :]
