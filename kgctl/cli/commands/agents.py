"""Effects of a change on the agents of leaders, and warnings about endpoints.

A change may be hidden from agents, or one that they can never set. The name of an endpoint may not
resolve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.output import note
from kgctl.errors import KgctlError, MeshError
from kgctl.mesh.state import network_of
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kgctl.diagnosis.facts import Subject
    from kgctl.host.names import LookedUp
    from kgctl.kube.stored import Object
    from kgctl.mesh.comparison import Unsettled
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Topology

    LookUp = Callable[[Iterable[str]], LookedUp]


class UnsettlingError(KgctlError):
    """Agents could never set the change, and would break links again and again."""


def refuse_unsettling(before: Topology | None, after: Topology | None) -> None:
    """Make sure that a change gives agents nothing that WireGuard cannot hold.

    Raises:
        UnsettlingError: the change gives them such a configuration, and they had none before.
    """
    if after is None:
        return
    from kgctl.mesh.comparison import unsettled

    known = set() if before is None else {_same(one) for one in unsettled(before)}
    for one in unsettled(after):
        if _same(one) not in known and (one.leaders.now or one.leaders.hidden):
            from kgctl.diagnosis.rules.agents import effect, in_words

            raise UnsettlingError(
                f"{in_words(one)}; {effect(one.leaders)} (kgctl explain KG504): nothing was changed"
            )


def _same(one: Unsettled) -> object:
    return one.cause, one.network.masked() if one.network is not None else one.owner


def note_hidden(before: Topology | None, after: Topology | None) -> None:
    """Print on stderr which leaders may miss a change, and what to do."""
    if before is None or after is None:
        return
    from kgctl.mesh.comparison import hidden_change

    found = hidden_change(before, after)
    if found is None or not found.hidden:
        return
    leaders = some([printable(name) for name in found.names], found.hidden)
    more = found.hidden - len(found.names)
    rest = f" and {more} more" if more > 0 else ""
    peer = printable(found.behind)
    note(
        f"{leaders}{rest} may miss this change: their agents compare peers in the order of keys "
        f"and stop at peer {peer}, which never connected; check with kgctl drift "
        f"{printable(found.names[0])} --dump FILE; they apply it once {peer} connects or is deleted"
    )


def note_hidden_peer(state: State, before: Object, after: Object) -> None:
    """Print on stderr which leaders may miss a change of a Peer in the cluster ``state``."""
    import time

    from kgctl.mesh.peer import InvalidPeer
    from kgctl.state.peer_objects import peer_of

    networks, now = [], time.time()
    for peer in (peer_of(before), peer_of(after)):
        if isinstance(peer, InvalidPeer):
            return
        others = [one for one in state.peers if one.name != peer.name]
        changed = state._replace(peers=(*others, peer))
        try:
            networks.append(network_of(changed, now=now, acting_leaders=True))
        except MeshError:  # for example, no node is ready
            return
    note_hidden(*networks)


_WHAT = "whether the names of endpoints resolve"


def look_up(names: Iterable[str]) -> LookedUp:
    """Resolve names with this machine's resolver, all at once, for a few seconds at most."""
    from kgctl.host.names import look_up_all

    return look_up_all(names)


def names_looked_up(
    subject: Subject, now: float, *, offline: bool, ask: LookUp = look_up
) -> tuple[Subject, Mapping[str, str]]:
    """Look up the names that the agents of a cluster resolve at ``now`` (Unix seconds).

    Returns:
        The subject, with what could not be checked, and the names that do not resolve, each with
        the reason.
    """
    from kgctl.diagnosis.rules.reachability import endpoint_names

    names = endpoint_names(subject.state, now)
    if not names:
        return subject, {}
    if offline:
        return _unseen(subject, f"{_WHAT} (--offline)"), {}
    found = ask(names)
    if found.unasked:
        name, why = next(iter(found.unasked.items()))
        more = f" and {len(found.unasked) - 1} more" if len(found.unasked) > 1 else ""
        subject = _unseen(subject, f"{_WHAT}: {printable(name)}{more} ({printable(why)})")
    return subject, found.missing


def _unseen(subject: Subject, what: str) -> Subject:
    return subject._replace(unseen=(*subject.unseen, what))


def warn_of_address(endpoint: Endpoint | None) -> None:
    """Warn on stderr if an endpoint is an address that no other machine can dial."""
    from kgctl.diagnosis.rules.reachability import called, is_never_dialled

    if endpoint is not None and is_never_dialled(endpoint):
        note(f"warning: {called(endpoint)}: no other machine can dial it (kgctl explain KG309)")


def warn_of_name(endpoint: Endpoint | None, ask: LookUp | None) -> None:
    """Warn on stderr if an endpoint has a name that does not resolve; None as ``ask`` skips it."""
    if ask is None or endpoint is None or not isinstance(endpoint.host, str):
        return
    why = ask([endpoint.host]).missing.get(endpoint.host)
    if why is not None:
        note(
            f"warning: {endpoint.host} does not resolve here: {printable(why, 100)}; while it does "
            "not resolve on the nodes, no agent applies any change (kgctl explain KG505)"
        )
