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
    SAME_NAT = "same-nat"
    NO_KEEPALIVE = "no-keepalive"
    ROUTING_LOOP = "routing-loop"
    ELSEWHERE = "elsewhere"
    LOOP = "loop"
    NO_COMMON_FAMILY = "no-common-family"
    NO_ADDRESS = "no-address"


RULES: Mapping[tuple[Reason, str], str] = {
    (Reason.PRIVATE_ENDPOINT, "node"): "KG302",
    (Reason.NO_KEEPALIVE, "node"): "KG303",
    (Reason.ROUTING_LOOP, "node"): "KG307",
    (Reason.ROUTING_LOOP, "peer"): "KG307",
    (Reason.NO_ENDPOINT, "peer"): "KG411",
    (Reason.NO_KEEPALIVE, "peer"): "KG411",
}
"""The code of the rule of ``kgctl check`` that finds what is wrong, where one does.

By the reason, and whether a ``node`` or a ``peer`` is at fault.
"""
