"""Names of nodes and peers: finding the one that was meant, completing one that was begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from kgctl.cli.output import note
from kgctl.mesh.endpoint import is_dns_name
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.readiness import why_not_ready, why_peer_not_ready
from kgctl.mesh.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kgctl.cli.reading import Reading
    from kgctl.cluster.interface import Kind
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer


_PATIENCE = "3s"  # who waits for a completion has gone on typing by then


class UnknownNameError(KgctlError):
    """There is no ready node, or no ready peer, by that name."""


def ready_node(reading: Reading, name: str) -> Node:
    """Return the ready node of that name.

    Raises:
        UnknownNameError: there is none; a line before it on stderr says what may be meant.
    """
    node = reading.state.node(name)
    if node is not None and node.is_ready(reading.now):
        return node
    if node is not None:
        reasons = ", ".join(why_not_ready(node, reading.now))
        note(f'node "{printable(name)}" takes no part in the network: {reasons}')
    else:
        _suggest(name, (node.name for node in reading.state.nodes))
    raise UnknownNameError(f'did not find any node named "{printable(name)}" in the cluster')


def ready_peer(reading: Reading, name: str) -> Peer:
    """Return the ready peer of that name.

    Raises:
        UnknownNameError: there is none; a line before it on stderr says what may be meant.
    """
    peer = reading.state.peer(name)
    if peer is not None and peer.is_ready:
        return peer
    problems = {one.name: one.problems for one in reading.state.invalid_peers}
    if peer is not None:
        problems[name] = why_peer_not_ready(peer)
    if name in problems:
        note(f'peer "{printable(name)}" takes no part in the network: {", ".join(problems[name])}')
    else:
        _suggest(name, (peer.name for peer in reading.state.peers))
    raise UnknownNameError(f'did not find any peer named "{printable(name)}" in the cluster')


def unknown_member(reading: Reading, name: str) -> UnknownNameError:
    """Return the error for what is neither a ready node, a ready peer nor an IP address."""
    node, peer = reading.state.node(name), reading.state.peer(name)
    invalid = {one.name: one.problems for one in reading.state.invalid_peers}
    why: Iterable[str] = invalid.get(name, ())
    if node is not None:
        why = why_not_ready(node, reading.now)
    elif peer is not None:
        why = why_peer_not_ready(peer)
    if why:
        note(f'"{printable(name)}" takes no part in the network: {", ".join(why)}')
    else:
        known = [one.name for one in reading.state.nodes]
        _suggest(name, [*known, *(one.name for one in reading.state.peers)])
    return UnknownNameError(
        f'did not find any node, peer or IP address "{printable(name)}" in the cluster'
    )


def _suggest(name: str, names: Iterable[str]) -> None:
    found = nearest(name, names)
    if found is not None:
        note(f'did you mean "{printable(found)}"?')


def complete_node(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a node; nothing when the cluster cannot be read."""
    return _complete(ctx, incomplete, "nodes")


def complete_peer(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a peer; nothing when the cluster cannot be read."""
    return _complete(ctx, incomplete, "peers")


def complete_member(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a node or a peer; nothing when the cluster cannot be read."""
    return sorted(_complete(ctx, incomplete, "nodes") + _complete(ctx, incomplete, "peers"))


def complete_listed(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of what ``kgctl get`` is to list; segments are not completed."""
    kind = str(ctx.params.get("kind") or "")
    known: dict[str, Kind] = {"nodes": "nodes", "node": "nodes", "peers": "peers", "peer": "peers"}
    return _complete(ctx, incomplete, known[kind]) if kind in known else []


def _complete(ctx: typer.Context, incomplete: str, kind: Kind) -> list[str]:
    from kgctl.cli.clusters import chosen_clusters
    from kgctl.cli.reading import source_of
    from kgctl.cli.shared import shared_of

    shared = shared_of(ctx)
    if shared.request_timeout is None:
        shared = shared._replace(request_timeout=_PATIENCE)
    try:
        one_or_more = [shared]
        if shared.named or shared.several:
            one_or_more = [one.shared for one in chosen_clusters(shared)]
        names = {
            name for one in one_or_more for name in source_of(one, interactive=False).names(kind)
        }
    except Exception:  # a completion that fails says nothing: it would garble the command line
        return []
    # whatever is no name in Kubernetes could be something that the shell acts on
    return sorted(name for name in names if name.startswith(incomplete) and is_dns_name(name))
