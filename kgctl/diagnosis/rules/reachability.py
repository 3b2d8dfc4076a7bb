"""KG309, KG320, KG412, KG414, KG505: endpoints and leaders that depend on dialling and DNS names.

Rules do not resolve names: the results are in their input.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import (
    CLUSTER,
    ERROR,
    INFO,
    LOCATION,
    NETWORK,
    NODE,
    PEER,
    WARNING,
    Found,
    Rule,
)
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.mesh.dialability import Scope, is_dialable, is_dialable_from_elsewhere, scope_of
from kgctl.mesh.leader import disputes
from kgctl.mesh.relays import relays_of
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.state import State


_SHOWN = 5


def _never_meet(facts: Facts) -> Iterator[Found]:
    """Yield peers that cannot meet: no endpoint, and no discovered one for at least one of two.

    In a network without nodes, its relays are known; for a cluster, files of machines name them.
    """
    if facts.topology is not None and relays_of(facts.topology):
        return
    hidden = _without_neighbours([peer for peer in facts.ready_peers if not _is_called(peer)])
    seen = [peer for peer in hidden if _is_seen(facts, peer)]
    if len(hidden) < 2 or len(seen) == len(hidden):
        return
    names = {peer.name for peer in seen}
    unseen = [peer for peer in hidden if peer.name not in names]
    alone = facts.state.network is not None
    others = "the machines that can be called" if alone else "nodes"
    between = "nothing" if alone else "no node"
    yield Found(
        NETWORK if alone else CLUSTER,
        "",
        f"{_named(unseen)} cannot call {_whom(unseen, seen)}: none of them has an endpoint that "
        "can be dialled from elsewhere",
        f"they reach {others}, but not each other: neither can call the other, and {between} "
        "forwards packets between the two",
        _remedy(facts, unseen[0]),
    )


def _without_neighbours(hidden: list[Peer]) -> list[Peer]:
    """Return the peers that cannot meet all others in their own location, at private endpoints."""
    private = [peer for peer in hidden if is_dialable(peer.annotated_endpoint)]
    everybody, called = (Counter(peer.location for peer in some) for some in (hidden, private))
    named = {peer.name for peer in private}

    def met(peer: Peer) -> int:
        if not peer.location:
            return 1
        return everybody[peer.location] if peer.name in named else called[peer.location] + 1

    return [peer for peer in hidden if met(peer) < len(hidden)]


def _remedy(facts: Facts, first: Peer) -> str:
    """Return how ``first`` and the others can meet: by a relay, or by an endpoint."""
    endpoint = (
        "give one an endpoint that can be dialled (a forwarded port): "
        f"kgctl peer set {quoted(first.name)} --endpoint ADDRESS:51820"
    )
    start = "if they must reach each other, "
    if facts.state.network is None:
        file = f"kgctl showconf peer {quoted(first.name)} --relay auto -o wg-quick"
        return f"{start}{endpoint}; or make the file of each so that a node relays: {file}"
    relay = next((peer for peer in facts.ready_peers if _is_called(peer)), None)
    if relay is None:
        return f"{start}{endpoint} --relay"
    return (
        f"{start}let one that they can call relay: kgctl peer set {quoted(relay.name)} --relay; "
        f"or {endpoint}"
    )


def _is_called(peer: Peer) -> bool:
    return is_dialable_from_elsewhere(peer.annotated_endpoint)


def _is_seen(facts: Facts, peer: Peer) -> bool:
    """Return whether others get the discovered endpoint of a peer, which needs a keepalive."""
    seen = peer.public_key is not None and facts.discovered.get(peer.public_key)
    return bool(seen) and peer.persistent_keepalive > 0


def _named(peers: list[Peer]) -> str:
    names = some([printable(peer.name) for peer in peers], _SHOWN)
    return f"{'peer' if len(peers) == 1 else 'peers'} {names}"


def _whom(unseen: list[Peer], seen: list[Peer]) -> str:
    if not seen:
        return "each other"
    return f"{'each other, nor ' if len(unseen) > 1 else ''}{_named(seen)}"


def is_never_dialled(endpoint: Endpoint | None) -> bool:
    """Return whether there is an endpoint with an address that no other machine can dial.

    KG505 reports names under ``invalid``, which stop the agents altogether.
    """
    if endpoint is None or is_dialable(endpoint):
        return False
    return scope_of(endpoint.host) is not Scope.NO_NAME


def called(endpoint: Endpoint) -> str:
    """Return an endpoint with its scope: ``the private endpoint 10.0.0.1:51820``."""
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
                "no other machine can dial it: a link comes up only if the node itself dials",
                f"kgctl node set {quoted(node.name)} --force-endpoint ADDRESS:51820",
            )
    for peer in facts.ready_peers:
        endpoint = peer.annotated_endpoint
        if endpoint is not None and is_never_dialled(endpoint):
            yield Found(
                PEER,
                peer.name,
                f"it has {called(endpoint)}",
                f"{'nodes' if facts.state.network is None else 'others'} send packets for the peer "
                "there, which never arrive",
                f"kgctl peer set {quoted(peer.name)} --endpoint ADDRESS:51820",
            )


def _relays_for_nobody(facts: Facts) -> Iterator[Found]:
    for peer in facts.ready_peers:
        if not peer.settings.relay or _is_called(peer):
            continue
        endpoint = peer.annotated_endpoint
        yield Found(
            PEER,
            peer.name,
            "it is marked as a relay, and has "
            + ("no endpoint" if endpoint is None else called(endpoint)),
            "machines elsewhere cannot call it, so it relays for none of them",
            f"kgctl peer set {quoted(peer.name)} --endpoint ADDRESS:51820, or --no-relay",
        )


def endpoint_names(state: State, now: float) -> dict[str, None]:
    """Return the DNS names that agents resolve at ``now``, those of ready nodes and ready peers."""
    endpoints = [node.endpoint for node in state.ready_nodes(now)]
    endpoints += [peer.annotated_endpoint for peer in state.ready_peers(now)]
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
            "every agent resolves all names before anything else, so no agent applies a change "
            "until this one resolves"
            if facts.state.network is None
            else "a machine that starts its tunnel waits for the name, and does not call it",
            f"kgctl {kind} set {quoted(name)} {option}",
        )


_SHOWN_SEGMENTS = 5


def _undecided(facts: Facts) -> Iterator[Found]:
    for one in () if facts.topology is None else disputes(facts.topology):
        if one.acting is not None:
            continue  # the annotations show it, and everything here follows them
        possible = some([printable(node.name) for node in one.possible], _SHOWN_SEGMENTS)
        yield Found(
            LOCATION,
            one.segment.name,
            f"a DNS name decides whether {possible} leads, and no wireguard-ip shows it",
            f"agents resolve names before they choose; kgctl assumes {printable(one.elected.name)} "
            "leads, so it may show links to this location at the wrong machine",
            "check again in a minute, when agents have written who leads; in files for CI, set the "
            "annotation kilo.squat.ai/leader on the node that should lead",
        )


RULES = (
    Rule("KG412", "peers-never-meet", INFO, "Peers have no tunnel between them.", _never_meet),
    Rule("KG414", "relay-nobody-can-call", WARNING, "A relay has no endpoint that others can call.",
         _relays_for_nobody),
    Rule("KG309", "endpoint-nobody-can-dial", ERROR,
         "An endpoint is an address that no other machine can dial.", _nobody_dials),
    Rule("KG505", "name-does-not-resolve", ERROR, "The name of an endpoint does not resolve.",
         _unresolved),
    Rule("KG320", "leader-by-name", INFO, "The leader depends on a DNS name.",
         _undecided),
)  # fmt: skip
