"""The rule that finds the cause of a failed path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.claims import Use
from kgctl.mesh.path.route import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.mesh.path.walk import Failure

RULES: Mapping[tuple[Reason, str], str] = {
    (Reason.NO_KEEPALIVE, "node"): "KG303",
    (Reason.UNDIALABLE, "node"): "KG309",
    (Reason.UNDIALABLE, "peer"): "KG309",
    (Reason.ROUTING_LOOP, "node"): "KG307",
    (Reason.ROUTING_LOOP, "peer"): "KG307",
    (Reason.NO_KEEPALIVE, "peer"): "KG411",
    (Reason.ONE_SIDED_LINK, "node"): "KG601",
    (Reason.STALE_LINK, "peer"): "KG602",
    (Reason.LINK_REFUSES_SOURCE, "node"): "KG603",
}
"""The code of the rule for a failure, if there is one.

The key is the reason, and the kind of the object at fault: ``node`` or ``peer``. If neither of two
machines can call the other, ``rule_where_none_calls`` decides.
"""

_NONE_CALLS = (Reason.NO_ENDPOINT, Reason.PRIVATE_ENDPOINT)
"""The reasons if neither machine of a tunnel can call the other."""


def rule_of(failure: Failure) -> str | None:
    """Return the code of the rule for a failure, or None if there is none."""
    at, other = failure.machine, failure.culprit or failure.machine
    if failure.reason in _NONE_CALLS and failure.culprit is not None:
        return rule_where_none_calls(
            (at.kind, at.keepalive),
            (other.kind, other.keepalive),
            across=at.cluster != other.cluster,
        )
    return RULES.get((failure.reason, other.kind))


def rule_where_none_calls(one: tuple[str, int], other: tuple[str, int], *, across: bool) -> str:
    """Return the code of the rule for two machines that cannot call each other.

    Each machine is its kind, ``node`` or ``peer``, and its keepalive. Of a node and a peer, the
    node is at fault, and its keepalive selects the rule. ``across`` means two clusters.
    """
    nodes = [keepalive for kind, keepalive in (one, other) if kind == "node"]
    if not nodes:
        return "KG412"
    if len(nodes) > 1:
        return "KG605" if across else "KG302"
    return "KG301" if nodes[0] > 0 else "KG303"


_CLAIMED_TWICE: Mapping[frozenset[Use], str] = {
    frozenset((Use.PODS,)): "KG201",
    frozenset((Use.INTERNAL_IP, Use.WIREGUARD)): "KG211",
    frozenset((Use.INTERNAL_IP, Use.PEER)): "KG212",
}


def rule_where_two_claim(one: Use, other: Use, *, at_home: bool) -> str:
    """Return the code of the rule for two machines with the same address, by their uses of it.

    ``at_home`` means that both are in one segment.
    """
    if one is other is Use.INTERNAL_IP:
        return "KG202" if at_home else "KG208"
    return _CLAIMED_TWICE.get(frozenset((one, other)), "KG203")
