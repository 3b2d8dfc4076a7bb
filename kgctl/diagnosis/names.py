"""What a name that Kilo does not know was meant to be: by its history, then by its spelling."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from kgctl.mesh.cidr import parse_address, parse_cidr
from kgctl.mesh.endpoint import Endpoint, parse_endpoint

WRITTEN_BY_PEOPLE = frozenset(
    (
        *("allowed-location-ips", "force-endpoint", "force-internal-ip", "leader", "location"),
        *("persistent-keepalive", "kgctl-ignore"),
    )
)
WRITTEN_BY_AGENTS = frozenset(
    (
        *("cni-compatibility-ip", "discovered-endpoints", "endpoint", "granularity"),
        *("internal-ip", "key", "last-seen", "wireguard-ip"),
    )
)
KNOWN = WRITTEN_BY_PEOPLE | WRITTEN_BY_AGENTS
"""Kilo's annotations (https://kilo.squat.ai/docs/annotations), and kgctl's own one."""

OF_OTHERS = frozenset({"clustermesh-endpoint"})
"""What other programs read under Kilo's prefix: the kilo-clustermesh operator."""

_PORT = 51820
_NAMES_KEPT = 1024
_LONGEST = 64  # characters of a name that is compared
_SLIPS = 2  # letters that differ, in a name of eight or more


class Meant(NamedTuple):
    """The annotation that was meant, without its prefix, and why one thinks so."""

    name: str
    reason: str


_WAS = {
    "force-external-ip": Meant(
        "force-endpoint",
        "Kilo calls it force-endpoint by now, and it has a port",
    ),
    "external-ip": Meant(
        "force-endpoint",
        "Kilo's agent writes endpoint by now, and people set force-endpoint",
    ),
    "force-public-ip": Meant("force-endpoint", "the public address is set with force-endpoint"),
    "public-ip": Meant("force-endpoint", "the public address is set with force-endpoint"),
    "force-ip": Meant("force-endpoint", "the address that is dialled is set with force-endpoint"),
    "force-private-ip": Meant(
        "force-internal-ip", "the private address is set with force-internal-ip"
    ),
    "private-ip": Meant("force-internal-ip", "the private address is set with force-internal-ip"),
    "keepalive": Meant("persistent-keepalive", "the keepalive is set with persistent-keepalive"),
    "region": Meant("location", "the location is set with location"),
    "zone": Meant("location", "the location is set with location"),
    "topology": Meant("location", "the location is set with location"),
}
"""What Kilo's annotations were called, in its history, and what people call them."""


@lru_cache(_NAMES_KEPT)  # what is wrong on one node is often wrong on all
def meant_by(name: str) -> Meant | None:
    """Return the annotation that ``name`` was meant to be, or None where nothing is near.

    Nearness to Kilo's present names alone misleads: ``force-external-ip`` is two letters from
    ``force-internal-ip``, and the opposite of it.
    """
    plain = _plain(name[:_LONGEST].lower())
    most = _SLIPS if len(plain) >= 8 else len(plain) > 3
    near = sorted((_distance(plain, _plain(known), most), known) for known in (*_WAS, *KNOWN))
    distance, found = near[0]
    tied = [known for far, known in near if far == distance]
    if distance > most or len({_meant(known).name for known in tied}) > 1:
        return None
    return _meant(found)


def _meant(known: str) -> Meant:
    if known in _WAS:
        return _WAS[known]
    if known in WRITTEN_BY_PEOPLE:
        return Meant(known, f"the nearest known one is {known}")
    forced = f"force-{known}"
    if forced in KNOWN:
        return Meant(forced, f"it is like {known}, which Kilo's agent writes; people set {forced}")
    return Meant("", f"it is like {known}, which Kilo's agent writes itself")


def value_for(meant: str, text: str) -> str | None:
    """Return what to write into the annotation ``meant``, where ``text`` tells; else None."""
    if meant == "force-endpoint":
        if parse_endpoint(text) is not None:
            return text
        network = parse_cidr(text)
        address = parse_address(text) if network is None else network.address
        return None if address is None else str(Endpoint(address, _PORT))
    if meant == "force-internal-ip":
        return text if parse_cidr(text) is not None else None
    return text if re.fullmatch(r"[\w.,:/-]{1,60}", text) else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name)


def _distance(one: str, other: str, most: int) -> int:
    """Return how many letters differ: left out, put in, replaced or swapped; over ``most`` any."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != wanted))
            swapped = (
                row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted
            )
            now.append(min(cost, before[column - 2] + 1) if swapped else cost)
        before, last = last, now
    return last[-1]
