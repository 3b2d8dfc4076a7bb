"""KG309: endpoints that no other machine can dial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import ERROR, NODE, PEER, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.mesh.dialling import Scope, is_dialable, scope_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.endpoint import Endpoint


def is_never_dialled(endpoint: Endpoint | None) -> bool:
    """Tell whether there is an endpoint, and its address is one that no other machine can dial.

    A name under ``invalid`` is another rule's (KG505): it stops the agents altogether.
    """
    if endpoint is None or is_dialable(endpoint):
        return False
    return scope_of(endpoint.host) is not Scope.NO_NAME


def called(endpoint: Endpoint) -> str:
    """Return an endpoint with what its address is: ``the private endpoint 10.0.0.1:51820``."""
    scope = scope_of(endpoint.host)
    if scope is Scope.PRIVATE:
        return f"the private endpoint {endpoint}"
    return f"the endpoint {endpoint}, {scope.words}"


def _nobody_dials(facts: Facts) -> Iterator[Found]:
    for node in facts.ready_nodes:
        if node.endpoint is not None and is_never_dialled(node.endpoint):
            yield Found(
                NODE,
                node.name,
                f"it has {called(node.endpoint)}",
                "no other machine can dial it: a link comes up only if the node itself begins it",
                f"kgctl node set {quoted(node.name)} --force-endpoint ADDRESS:51820",
            )
    for peer in facts.ready_peers:
        endpoint = peer.annotated_endpoint
        if endpoint is not None and is_never_dialled(endpoint):
            yield Found(
                PEER,
                peer.name,
                f"it has {called(endpoint)}",
                "nodes send there what is for the peer, and it never arrives",
                f"kgctl peer set {quoted(peer.name)} --endpoint ADDRESS:51820",
            )


RULES = (
    Rule("KG309", "endpoint-nobody-can-dial", ERROR,
         "An endpoint is an address that no other machine can dial.", _nobody_dials),
)  # fmt: skip
