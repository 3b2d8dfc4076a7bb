"""The CNI configuration of a node: the pod CIDR in its ``ipam`` sections, and nothing else of it.

A file of the network plugins may hold anything of theirs, so it is not written again from what was
parsed: only the text of ``ranges`` is exchanged, and every other byte stays. The format: "CNI
specification, network configuration format", and the plugin ``host-local``.
"""

from __future__ import annotations

import json
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.files.atomic import OutputFileError, read, write_public
from kgctl.files.walk import place_of
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kgctl.mesh.cidr import Cidr

_MOST_BYTES = 1 << 20
_WHITESPACE = " \t\n\r"


class CniResult(NamedTuple):
    """Whether a CNI configuration was changed, and what is wrong with it; empty if nothing is."""

    changed: bool = False
    finding: str = ""


def manage_cni(path: Path, pods: Cidr) -> CniResult:
    """Put the pod CIDR of a node into its CNI configuration, as Kilo's agent does.

    Every plugin with an ``ipam`` gets it as its only range, unless its first range has it already.
    The file is replaced atomically, and keeps its mode. It never makes an agent fail: an unusable
    file is a finding, and stays as it is.
    """
    where = f"the CNI configuration {printable(str(path))}"
    try:
        with place_of(path) as place:
            if place.found is None:
                return CniResult(finding=f"{where} does not exist: pods get no addresses from it")
            content = read(place, _MOST_BYTES + 1)
    except OSError as error:
        return CniResult(finding=f"cannot read {where}: {error.strerror or error}")
    if len(content) > _MOST_BYTES:
        return CniResult(finding=f"{where} is larger than {_MOST_BYTES} bytes; it stays as it is")
    try:
        text = content.decode()
        found = with_pods(text, pods)
    except (ValueError, RecursionError):
        return CniResult(finding=f"{where} is not JSON; it stays as it is")
    if found is None:
        return CniResult(finding=f"{where} has no plugin with an ipam; it stays as it is")
    if found == text:
        return CniResult()
    try:
        write_public(path, found.encode())
    except OutputFileError as error:
        return CniResult(finding=str(error))
    return CniResult(changed=True)


def with_pods(text: str, pods: Cidr) -> str | None:
    """Return a CNI configuration with the pod CIDR in it, or None if no plugin has an ``ipam``.

    Raises:
        ValueError, RecursionError: it is not JSON.
    """
    json.loads(text, parse_constant=_refuse)  # what follows expects valid JSON
    wanted = json.dumps([[{"subnet": str(pods.masked())}]])
    places = list(_ranges(text))
    for place in reversed(places):  # from the end, so that the places before stay where they are
        if place.before or not _has(text[place.start : place.end], pods):
            new = f"{place.before}{wanted}{place.after}"
            text = f"{text[: place.start]}{new}{text[place.end :]}"
    return text if places else None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _has(ranges: str, pods: Cidr) -> bool:
    """Return whether the first range of a plugin is the pod CIDR."""
    try:
        subnet = json.loads(ranges)[0][0]["subnet"]
    except (LookupError, TypeError):
        return False
    found = parse_cidr(subnet) if isinstance(subnet, str) else None
    return found is not None and found.masked() == pods.masked()


class _Range(NamedTuple):
    """The place of the value of ``ranges``, and what a missing one needs around it."""

    start: int
    end: int
    before: str = ""
    after: str = ""


def _ranges(text: str) -> Iterator[_Range]:
    """Yield the place of ``ranges`` in the ``ipam`` of each plugin; ``text`` is valid JSON."""
    top = _members(text, _skip(text, 0))
    plugins = top.get("plugins")
    for plugin in () if plugins is None else _elements(text, plugins[0]):
        ipam = _members(text, plugin).get("ipam")
        if ipam is None or text[ipam[0]] != "{":
            continue
        inside = _members(text, ipam[0])
        if "ranges" in inside:
            yield _Range(*inside["ranges"])
        else:
            first = ipam[0] + 1
            yield _Range(first, first, '"ranges": ', ", " if inside else "")


_DECODER = json.JSONDecoder()


def _skip(text: str, at: int) -> int:
    while text[at] in _WHITESPACE:
        at += 1
    return at


def _members(text: str, at: int) -> dict[str, tuple[int, int]]:
    """Return the place of each member's value of an object; of two with one name, the last."""
    found: dict[str, tuple[int, int]] = {}
    if text[at] != "{":
        return found
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, at = scanstring(text, at + 1)
        start = _skip(text, _skip(text, at) + 1)  # beyond the colon
        _, end = _DECODER.raw_decode(text, start)
        found[name] = (start, end)
        at = _next(text, end)
    return found


def _elements(text: str, at: int) -> Iterator[int]:
    """Yield the place of each element of an array."""
    if text[at] != "[":
        return
    at = _skip(text, at + 1)
    while text[at] != "]":
        yield at
        _, end = _DECODER.raw_decode(text, at)
        at = _next(text, end)


def _next(text: str, at: int) -> int:
    """Return the place of the next member, or of the closing bracket."""
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at
