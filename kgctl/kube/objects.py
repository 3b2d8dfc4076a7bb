"""Objects of an API server, as far as they are read.

Label selectors, as ``kubectl -l`` takes them.
"""

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
"""Is told now and then how much is done, and of how much, in any unit."""


class NodeObject(NamedTuple):
    """Name, pod network, labels and annotations of a Kubernetes Node object, and its platform.

    They are as the cluster holds them: nothing is parsed, nothing is trusted yet. ``platform`` is
    read where it is asked for.
    """

    name: str
    pod_cidr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    platform: Platform = NO_PLATFORM


_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_COMMAS = re.compile(r",(?![^(]*\))")  # those that are not between parentheses
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_EQUALS = re.compile(rf"({_KEY})\s*(!=|==|=)\s*({_VALUE})")
_AMONG = re.compile(rf"({_KEY})\s+(in|notin)\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)")


class SelectorError(ClusterError):
    """A label selector that is none."""


class Selector(NamedTuple):
    """What labels must be like: every one of the requirements holds."""

    requirements: tuple[Callable[[Mapping[str, str]], bool], ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels are as they must be."""
        return all(holds(labels) for holds in self.requirements)


def parse_selector(text: str) -> Selector:
    """Parse ``a=1,b!=2,c in (x,y),d notin (z),e,!f``.

    As in Kubernetes, ``!=`` and ``notin`` hold as well where there is no such label.

    Raises:
        SelectorError: it is no selector.
    """
    return Selector(tuple(_requirement(part.strip()) for part in _COMMAS.split(text)))


def _requirement(text: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _EXISTS.fullmatch(text):
        wanted, key = not found[1], found[2]
        return lambda labels: (key in labels) is wanted
    if found := _EQUALS.fullmatch(text):
        key, values, wanted = found[1], {found[3]}, found[2] != "!="
    elif found := _AMONG.fullmatch(text):
        values = {value.strip() for value in found[3].split(",")}
        key, wanted = found[1], found[2] == "in"
    else:
        raise SelectorError(
            f'"{printable(text)}" is not a label selector, as topology.kubernetes.io/region=eu is'
        )
    return lambda labels: (labels.get(key) in values) is wanted
