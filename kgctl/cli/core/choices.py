"""The option ``--output``, made from a table of formats, and completion of node and peer names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import typer

from kgctl.cli.core.shared import shared_of
from kgctl.mesh.endpoint import is_dns_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.state.interface import Kind


class Named(Protocol):
    """A format of any table."""

    @property
    def name(self) -> str:
        """The name of the format for ``--output``."""


Format = TypeVar("Format", bound=Named)


def format_option(formats: Sequence[Named], text: str) -> Any:
    """Return the option ``--output``, which accepts and completes the names of ``formats``."""
    names = [one.name for one in formats if one.name]

    def checked(value: str) -> str:
        if value not in names:
            choices = ", ".join(map(repr, names))
            raise typer.BadParameter(f"{value!r} is not one of {choices}.")
        return value

    def complete() -> list[str]:
        return names

    metavar = f"<{'|'.join(names)}>"
    return typer.Option(
        "--output", "-o", help=text, metavar=metavar, parser=checked, autocompletion=complete
    )


def format_named(formats: Sequence[Format], name: str) -> Format:
    """Return the format with a name that ``format_option`` has checked."""
    (found,) = (one for one in formats if one.name == name)
    return found


_PATIENCE = "3s"  # a user does not wait longer for a completion


def complete_node(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a node; return nothing if the cluster cannot be read."""
    return _complete(ctx, incomplete, "nodes")


def complete_peer(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a peer; return nothing if the cluster cannot be read."""
    return _complete(ctx, incomplete, "peers")


def complete_member(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a node or a peer; return nothing if the cluster cannot be read."""
    return sorted(_complete(ctx, incomplete, "nodes") + _complete(ctx, incomplete, "peers"))


def complete_listed(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a name for ``kgctl get``; names of segments are not completed."""
    kind = str(ctx.params.get("kind") or "")
    known: dict[str, Kind] = {"nodes": "nodes", "node": "nodes", "peers": "peers", "peer": "peers"}
    return _complete(ctx, incomplete, known[kind]) if kind in known else []


def _complete(ctx: typer.Context, incomplete: str, kind: Kind) -> list[str]:
    from kgctl.cli.core.clusters import chosen_clusters
    from kgctl.cli.core.source import source_of

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
    except Exception:  # no message: it would garble the command line
        return []
    # a text that is not a Kubernetes name could be something that the shell acts on
    return sorted(name for name in names if name.startswith(incomplete) and is_dns_name(name))
