"""Node objects with only the fields that kgctl reads, and label selectors as in ``kubectl -l``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import ClusterError
from kgctl.mesh.node import NO_PLATFORM, Platform
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping


Advance = Callable[[int, int], None]
"""Receives progress: how much is done, and of how much, in any unit."""


class NodeObject(NamedTuple):
    """Name, pod network, labels, annotations and platform of a Kubernetes Node object.

    They are as in the cluster: not parsed, and not trusted yet. ``platform`` is read on request.
    """

    name: str
    pod_cidr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    platform: Platform = NO_PLATFORM


_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
# plain texts: to compile them takes 2 ms, and few calls give a selector
_COMMAS = r",(?![^(]*\))"  # those that are not between parentheses
_EXISTS = rf"(!?)\s*({_KEY})"
_EQUALS = rf"({_KEY})\s*(!=|==|=)\s*({_VALUE})"
_AMONG = rf"({_KEY})\s+(in|notin)\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)"


class SelectorError(ClusterError):
    """The label selector is invalid."""


class Selector(NamedTuple):
    """A label selector: all its requirements must hold."""

    requirements: tuple[Callable[[Mapping[str, str]], bool], ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels meet all requirements."""
        return all(holds(labels) for holds in self.requirements)


def parse_selector(text: str) -> Selector:
    """Parse ``a=1,b!=2,c in (x,y),d notin (z),e,!f``.

    As in Kubernetes, ``!=`` and ``notin`` also hold for objects without the label.

    Raises:
        SelectorError: it is not a selector.
    """
    return Selector(tuple(_requirement(part.strip()) for part in re.split(_COMMAS, text)))


def _requirement(text: str) -> Callable[[Mapping[str, str]], bool]:
    if found := re.fullmatch(_EXISTS, text):
        wanted, key = not found[1], found[2]
        return lambda labels: (key in labels) is wanted
    if found := re.fullmatch(_EQUALS, text):
        key, values, wanted = found[1], {found[3]}, found[2] != "!="
    elif found := re.fullmatch(_AMONG, text):
        values = {value.strip() for value in found[3].split(",")}
        key, wanted = found[1], found[2] == "in"
    else:
        raise SelectorError(
            f'"{printable(text)}" is not a label selector such as topology.kubernetes.io/region=eu'
        )
    return lambda labels: (labels.get(key) in values) is wanted
