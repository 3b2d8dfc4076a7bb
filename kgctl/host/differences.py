"""A difference between what a node's agent sets on its machine and what the machine has."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Part(StrEnum):
    """What of a machine differs."""

    INTERFACE = "interface"
    ADDRESS = "address"
    MTU = "mtu"
    STATE = "state"
    ROUTE = "route"
    RULE = "rule"
    FIREWALL = "firewall"
    PARAMETER = "parameter"


class Difference(NamedTuple):
    """One difference, both sides in words of ``ip``, ``iptables`` or ``nft``; None: it is absent.

    ``about`` is the interface, the family and chain, or the name of the parameter. Of a route or
    rule, whose words name its interface, it is why this cannot be set, or empty. Texts are
    untrusted: other programs name chains and interfaces.
    """

    part: Part
    wanted: str | None
    found: str | None
    about: str = ""
