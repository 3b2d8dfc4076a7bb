"""KG412: peers that have no tunnel between them, because neither can call the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import CLUSTER, INFO, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.mesh.dialling import is_dialable_from_elsewhere
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.peer import Peer

_SHOWN = 5


def _never_meet(facts: Facts) -> Iterator[Found]:
    """Two peers meet if one has an endpoint, or if nodes tell each where they see the other."""
    hidden = [peer for peer in facts.ready_peers if not _is_called(peer)]
    seen = [peer for peer in hidden if _is_seen(facts, peer)]
    if len(hidden) < 2 or len(seen) == len(hidden):
        return
    names = {peer.name for peer in seen}
    unseen = [peer for peer in hidden if peer.name not in names]
    first = unseen[0]
    yield Found(
        CLUSTER,
        "",
        f"{_named(unseen)} cannot call {_whom(unseen, seen)}: none of them has an endpoint that "
        "can be dialled from elsewhere",
        "they reach nodes, but not each other: a file for a peer has a tunnel of its own to each "
        "other peer, and no node passes packets on between the two",
        "where they are to reach each other, give one an endpoint at which it is called (a "
        f"forwarded port): kgctl peer set {quoted(first.name)} --endpoint ADDRESS:51820",
    )


def _is_called(peer: Peer) -> bool:
    return is_dialable_from_elsewhere(peer.annotated_endpoint)


def _is_seen(facts: Facts, peer: Peer) -> bool:
    """Tell whether others get the endpoint at which nodes see a peer, while it keeps calling."""
    seen = peer.public_key is not None and facts.discovered.get(peer.public_key)
    return bool(seen) and peer.persistent_keepalive > 0


def _named(peers: list[Peer]) -> str:
    names = some([printable(peer.name) for peer in peers], _SHOWN)
    return f"{'peer' if len(peers) == 1 else 'peers'} {names}"


def _whom(unseen: list[Peer], seen: list[Peer]) -> str:
    if not seen:
        return "each other"
    return f"{'each other, nor ' if len(unseen) > 1 else ''}{_named(seen)}"


RULES = (
    Rule("KG412", "peers-never-meet", INFO, "Peers have no tunnel between them.", _never_meet),
)
