"""KG505: names of endpoints that do not resolve; rules ask nobody, they are given the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import ERROR, NODE, PEER, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.state import State


def endpoint_names(state: State, now: float) -> dict[str, None]:
    """Return the DNS names that agents resolve at ``now``: those of ready nodes and ready peers."""
    endpoints = [node.endpoint for node in state.ready_nodes(now)]
    endpoints += [peer.annotated_endpoint for peer in state.peers if peer.is_ready]
    return {
        endpoint.host: None
        for endpoint in endpoints
        if endpoint is not None and isinstance(endpoint.host, str)
    }


def _unresolved(facts: Facts) -> Iterator[Found]:
    if not facts.settings.missing_names:
        return
    for node in facts.ready_nodes:
        yield from _of_endpoint(
            facts, NODE, node.name, node.endpoint, "--force-endpoint ADDRESS:PORT"
        )
    for peer in facts.ready_peers:
        yield from _of_endpoint(
            facts, PEER, peer.name, peer.annotated_endpoint, "--endpoint ADDRESS:PORT"
        )


def _of_endpoint(
    facts: Facts, kind: str, name: str, endpoint: Endpoint | None, option: str
) -> Iterator[Found]:
    host = None if endpoint is None else endpoint.host
    if isinstance(host, str) and host in facts.settings.missing_names:
        why = printable(facts.settings.missing_names[host], 100)
        yield Found(
            kind,
            name,
            f"the name of its endpoint, {host}, does not resolve: {why}",
            "every agent resolves all names before anything else, so none of them applies any "
            "change as long as this one does not resolve",
            f"kgctl {kind} set {quoted(name)} {option}",
        )


RULES = (
    Rule("KG505", "name-does-not-resolve", ERROR, "The name of an endpoint does not resolve.",
         _unresolved),
)  # fmt: skip
