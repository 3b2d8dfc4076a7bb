"""``kgctl node``: what people tell Kilo about a node."""

from __future__ import annotations

from typing import Annotated

import typer

from kgctl.cli.commands.peer import DryRun
from kgctl.cli.core.choices import complete_node
from kgctl.cli.core.shared import Shared, with_shared

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
@with_shared
def node(shared: Shared) -> None:
    """Tell Kilo about nodes: where they are, which of them lead, how they are called."""


@app.command("set")
@with_shared
def set_(
    shared: Shared,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", autocompletion=complete_node)
    ] = None,
    selector: Annotated[
        str | None,
        typer.Option("--selector", "-l", metavar="LABELS", help="The nodes with these labels."),
    ] = None,
    location: Annotated[
        str | None, typer.Option(metavar="NAME", help="The location that the node is at.")
    ] = None,
    leader: Annotated[
        bool | None,
        typer.Option("--leader/--no-leader", help="Whether it leads, before others.",
                     show_default=False),
    ] = None,
    force_endpoint: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the others are to call it.")
    ] = None,
    force_internal_ip: Annotated[
        str | None,
        typer.Option(metavar="CIDR", help="Its address at its location; - for none."),
    ] = None,
    persistent_keepalive: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="Its keepalive; behind NAT, 25.")
    ] = None,
    allowed_location_ips: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR,...", help="Networks that its location brings in."),
    ] = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Remove an annotation: location, force-endpoint, ..."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[DryRun, typer.Option(help="Only show what would be done.")] = DryRun.NONE,
) -> None:  # fmt: skip
    """Write Kilo's annotations on nodes, after showing what that changes in the network."""
    from kgctl.cli.commands.node_set import annotations_of, set_nodes
    from kgctl.cli.core.limits import warn_of_claims

    location_ips = None if allowed_location_ips is None else ",".join(allowed_location_ips)
    given = {
        "location": location,
        "leader": None if leader is None else ("true" if leader else "false"),
        "force-endpoint": force_endpoint,
        "force-internal-ip": force_internal_ip,
        "persistent-keepalive": persistent_keepalive,
        "allowed-location-ips": location_ips,
    }
    changes = annotations_of(given, unset or [])
    for name in names or ():
        warn_of_claims(name, allowed_location_ips, "allowed location IP")
        warn_of_claims(name, [force_internal_ip or ""], "internal IP")
    set_nodes(shared, names or [], selector, changes, ask=not yes, dry_run=dry_run.value)
