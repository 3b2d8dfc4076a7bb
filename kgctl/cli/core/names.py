"""Lookup of nodes and peers by name, with suggestions for unknown names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.output import note
from kgctl.errors import KgctlError
from kgctl.mesh.readiness import why_not_ready, why_peer_not_ready
from kgctl.mesh.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kgctl.cli.core.source import Reading
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer


class UnknownNameError(KgctlError):
    """No ready node or peer has this name."""


class ExpiredPeerError(UnknownNameError):
    """The time of the peer is over, so it takes no part."""


def ready_node(reading: Reading, name: str) -> Node:
    """Return the ready node with this name.

    Raises:
        UnknownNameError: there is none; a line on stderr before it gives the reason or suggests a
            name.
    """
    node = reading.state.node(name)
    if node is not None and node.is_ready(reading.now):
        return node
    if node is not None:
        reasons = ", ".join(why_not_ready(node, reading.now))
        note(f'node "{printable(name)}" takes no part in the network: {reasons}')
    else:
        _suggest(name, (node.name for node in reading.state.nodes))
    raise UnknownNameError(f'did not find any node named "{printable(name)}" {_where(reading)}')


def ready_peer(reading: Reading, name: str) -> Peer:
    """Return the ready peer with this name.

    Raises:
        ExpiredPeerError: its time is over.
        UnknownNameError: there is none; a line on stderr before it gives the reason or suggests a
            name.
    """
    peer = reading.state.peer(name)
    if peer is not None and peer.is_ready:
        if peer.is_expired(reading.clock):
            raise _expired(peer, reading.clock)
        return peer
    problems = {one.name: one.problems for one in reading.state.invalid_peers}
    if peer is not None:
        problems[name] = why_peer_not_ready(peer, reading.clock)
    if name in problems:
        note(f'peer "{printable(name)}" takes no part in the network: {", ".join(problems[name])}')
    else:
        _suggest(name, (peer.name for peer in reading.state.peers))
    what = "peer" if reading.state.network is None else "machine"
    raise UnknownNameError(f'did not find any {what} named "{printable(name)}" {_where(reading)}')


def _expired(peer: Peer, now: float) -> ExpiredPeerError:
    name = printable(peer.name)
    return ExpiredPeerError(
        f'peer "{name}" takes no part in the network: {", ".join(why_peer_not_ready(peer, now))}; '
        f"to let it in again: kgctl peer set {name} --expires 30d; to remove it: kgctl peer rm "
        f"{name}"
    )


def note_expired(reading: Reading) -> None:
    """Print on stderr which peers get no file, since their time is over."""
    for peer in reading.state.peers:
        if peer.is_ready and peer.is_expired(reading.clock):
            reasons = ", ".join(why_peer_not_ready(peer, reading.clock))
            note(f"{printable(peer.name)}: {reasons}, so it gets no file and is in no other one")


def unknown_member(reading: Reading, name: str) -> UnknownNameError:
    """Return the error for a name that is not a ready node, a ready peer or an IP address."""
    node, peer = reading.state.node(name), reading.state.peer(name)
    invalid = {one.name: one.problems for one in reading.state.invalid_peers}
    why: Iterable[str] = invalid.get(name, ())
    if node is not None:
        why = why_not_ready(node, reading.now)
    elif peer is not None:
        why = why_peer_not_ready(peer, reading.clock)
    if why:
        note(f'"{printable(name)}" takes no part in the network: {", ".join(why)}')
    else:
        known = [one.name for one in reading.state.nodes]
        _suggest(name, [*known, *(one.name for one in reading.state.peers)])
    what = "node, peer" if reading.state.network is None else "machine"
    return UnknownNameError(
        f'did not find any {what} or IP address "{printable(name)}" {_where(reading)}'
    )


def _where(reading: Reading) -> str:
    network = reading.state.network
    return "in the cluster" if network is None else f"in the network {network.name}"


def _suggest(name: str, names: Iterable[str]) -> None:
    found = nearest(name, names)
    if found is not None:
        note(f'did you mean "{printable(found)}"?')
