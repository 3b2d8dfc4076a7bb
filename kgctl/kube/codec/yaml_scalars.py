"""The values of unquoted YAML scalars in Kubernetes, for reading and writing.

kubectl and the API server read YAML 1.1 by their own rules: ``y`` is true and ``012`` is ten, but
``1:30`` and dates are text. The source of every rule here is ``resolve`` in
https://github.com/kubernetes-sigs/yaml/blob/master/goyaml.v2/resolve.go, and for keys of mappings
and numbers ``convertToJSONableObject`` in https://github.com/kubernetes-sigs/yaml/blob/master/yaml.go
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Scalar = str | int | float | bool | None

_INFINITY = float("inf")


def _spellings(*words: str) -> tuple[str, ...]:
    return tuple(form for word in words for form in (word, word.capitalize(), word.upper()))


WORDS: Mapping[str, Scalar] = {
    **dict.fromkeys(_spellings("y", "yes", "true", "on"), True),
    **dict.fromkeys(_spellings("n", "no", "false", "off"), False),
    **dict.fromkeys(("", "~", *_spellings("null")), None),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), _INFINITY),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -_INFINITY),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
"""The words with a value other than their text."""

_FIRST_OF_NUMBERS = frozenset("+-.0123456789")
_INT64 = range(-(2**63), 2**63)
_UINT64 = range(2**64)
_MOST_DIGITS = 20  # of a decimal number below 2**64
_EXACT = 2**53  # below it, a float's digits are those of the whole number

# Regular expressions are compiled at the first number: most files have none.
_INTEGER = (
    r"(?P<sign>[-+]?)(?:0[xX](?P<x>[0-9a-fA-F]+)|0[bB](?P<b>[01]+)|0[oO](?P<o>[0-7]+)"
    r"|0(?P<old>[0-7]*)|(?P<d>[1-9][0-9]*))"
)
_BASES = {"x": 16, "b": 2, "o": 8, "old": 8, "d": 10}
_SIGNED_BINARY = r"0b(?P<bits>[-+][01]+)"  # accepted by the reference, by mistake
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
_POINT_FIRST = r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?"
_BASE_60 = r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
_DATE = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?"


def value_of(text: str) -> Scalar:
    """Return the value of the unquoted ``text`` in Kubernetes.

    Kubernetes converts YAML to JSON: ``25.0`` becomes 25, and an integer outside 64 bits a float.
    Infinity and NaN are not valid in JSON, so Kubernetes refuses a file with them.
    """
    value = _resolved(text)
    if isinstance(value, float) and value.is_integer():
        whole = int(value) if abs(value) < _EXACT else _whole(value)
        return whole if whole in _INT64 else value
    if isinstance(value, int) and value not in _INT64:  # True and False are
        return _float(value)
    return value


def is_text(text: str) -> bool:
    """Return whether the unquoted ``text`` is text."""
    return isinstance(_resolved(text), str)


def key_of(text: str) -> str | None:
    """Return the unquoted ``text`` as a key of a mapping; None if Kubernetes refuses it.

    Keys are converted to text: ``012`` is the key "10", ``y`` is "true".
    """
    value = _resolved(text)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _shortest(value)
    if isinstance(value, int):
        return str(value) if value in _INT64 else None
    return value


def needs_quotes(text: str) -> bool:
    """Return whether any YAML reader reads the unquoted ``text`` as something else.

    Readers other than Kubernetes also support dates, base 60 numbers, ``=`` and ``<<``.
    """
    if not is_text(text) or text in ("=", "<<"):
        return True
    if text[0] not in _FIRST_OF_NUMBERS:
        return False
    return bool(re.fullmatch(_BASE_60, text) or re.fullmatch(_DATE, text, re.DOTALL))


def _resolved(text: str) -> Scalar:
    if text in WORDS:
        return WORDS[text]
    if text[0] not in _FIRST_OF_NUMBERS:
        return text
    number = _float_of(text, _POINT_FIRST) if text[0] == "." else _number(text.replace("_", ""))
    return text if number is None else number


def _number(plain: str) -> int | float | None:
    """Parse a text without ``_`` that begins with a sign or a digit; None if not a number."""
    match = re.fullmatch(_INTEGER, plain)
    signed = match is not None and bool(match["sign"])
    value = _integer(match) if match else None
    if value is not None and (value in _INT64 or (not signed and value in _UINT64)):
        return value
    number = _float_of(plain, _FLOAT)
    if number is None and (binary := re.fullmatch(_SIGNED_BINARY, plain)):
        bits = int(binary["bits"], 2)
        return bits if bits in _INT64 else None
    return value if number is None and not signed else number


def _integer(match: re.Match[str]) -> int | None:
    base = match.lastgroup or ""
    if base == "d" and len(match["d"]) > _MOST_DIGITS:  # a float; and Python limits such digits
        return None
    return int(match["sign"] + (match[base] or "0"), _BASES[base])


def _float_of(text: str, form: str) -> float | None:
    if not re.fullmatch(form, text):
        return None
    number = float(text.replace("_", ""))
    return None if number in (_INFINITY, -_INFINITY) else number  # out of range: text, as in Go


def _whole(value: float) -> int:
    """Return a large number as JSON writes it: its shortest digits, then zeros."""
    from decimal import Decimal

    return int(Decimal(repr(value)))


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return _INFINITY


def _shortest(value: float) -> str:
    """Return a number as Go formats it, with the fewest digits for 32 bits."""
    import struct
    from decimal import Decimal

    if value in (_INFINITY, -_INFINITY) or value != value or abs(value) > 3.4028235677973366e38:
        return ".nan" if value != value else "-.inf" if value < 0 else ".inf"
    single = struct.pack("f", value)
    (value,) = struct.unpack("f", single)
    texts = (f"{value:.{digits}e}" for digits in range(17))
    found = next(text for text in texts if struct.pack("f", float(text)) == single)
    return format(Decimal(found), "f") if -4 <= int(found.partition("e")[2]) < 6 else found
