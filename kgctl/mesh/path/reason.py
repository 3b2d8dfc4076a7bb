"""Why a packet does not get on."""

from __future__ import annotations

from enum import StrEnum


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
