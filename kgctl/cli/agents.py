"""What the agents of leaders make of a change: hidden from them, or never as they want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.output import note
from kgctl.mesh.errors import KgctlError, MeshError
from kgctl.mesh.state import network_of
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from kgctl.kube.stored import Object
    from kgctl.mesh.settling import Unsettled
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Topology


class UnsettlingError(KgctlError):
    """Agents could never set what is to be changed, and would break links over it for ever."""


def refuse_unsettling(before: Topology | None, after: Topology | None) -> None:
    """Make sure that a change gives agents nothing that WireGuard cannot hold.

    Raises:
        UnsettlingError: it does, and it was not so before.
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
    """Print on stderr which leaders may not see a change, and what to do."""
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
        f"this may be hidden from {leaders}{rest}: their agents compare peers in the order of keys "
        f"and end at peer {peer}, which never connected; look with kgctl drift "
        f"{printable(found.names[0])} --dump FILE; they apply it once {peer} connects or is deleted"
    )


def note_hidden_peer(state: State, before: Object, after: Object) -> None:
    """Print on stderr which leaders may not see a change of a Peer in the cluster ``state``."""
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
        except MeshError:  # no node is ready, say
            return
    note_hidden(*networks)
