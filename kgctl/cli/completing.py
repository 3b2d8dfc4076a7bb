"""Completing the name of a node or a peer that was begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from kgctl.cli.core.shared import shared_of
from kgctl.mesh.endpoint import is_dns_name

if TYPE_CHECKING:
    from kgctl.state.interface import Kind

_PATIENCE = "3s"  # who waits for a completion has gone on typing by then


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
