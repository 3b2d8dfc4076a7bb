"""Why a packet does not get on, and the rule of ``kgctl check`` that says more about it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reason(StrEnum):
    """What keeps a packet from getting on at a hop."""

    NO_ROUTE = "no-route"
    OUTSIDE = "outside-the-tunnel"
    NO_ALLOWED_IP = "no-allowed-ip"
    SOURCE_REFUSED = "source-refused"
    NO_ENDPOINT = "no-endpoint"
    PRIVATE_ENDPOINT = "private-endpoint"
    UNDIALABLE = "undialable-endpoint"
    SAME_NAT = "same-nat"
    NO_KEEPALIVE = "no-keepalive"
    ROUTING_LOOP = "routing-loop"
    ELSEWHERE = "elsewhere"
    LOOP = "loop"
    NO_COMMON_FAMILY = "no-common-family"
    NO_ADDRESS = "no-address"
    ONE_SIDED_LINK = "one-sided-link"
    STALE_LINK = "stale-link"
    LINK_REFUSES_SOURCE = "link-refuses-source"


RULES: Mapping[tuple[Reason, str], str] = {
    (Reason.PRIVATE_ENDPOINT, "node"): "KG302",
    (Reason.NO_KEEPALIVE, "node"): "KG303",
    (Reason.ROUTING_LOOP, "node"): "KG307",
    (Reason.ROUTING_LOOP, "peer"): "KG307",
    (Reason.NO_ENDPOINT, "peer"): "KG411",
    (Reason.NO_KEEPALIVE, "peer"): "KG411",
    (Reason.ONE_SIDED_LINK, "node"): "KG601",
    (Reason.STALE_LINK, "peer"): "KG602",
    (Reason.LINK_REFUSES_SOURCE, "node"): "KG603",
}
"""The code of the rule of ``kgctl check`` that finds what is wrong, where one does.

By the reason, and whether a ``node`` or a ``peer`` is at fault.
"""
