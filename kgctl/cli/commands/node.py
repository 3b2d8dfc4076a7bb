"""``kgctl node``: set Kilo's annotations on nodes."""

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
    """Set Kilo's annotations on nodes: locations, leaders, endpoints."""


@app.command("set")
@with_shared
def set_(
    shared: Shared,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", autocompletion=complete_node)
    ] = None,
    selector: Annotated[
        str | None,
        typer.Option(
            "--selector", "-l", metavar="LABELS", help="Select nodes by labels, as in kubectl."
        ),
    ] = None,
    location: Annotated[
        str | None, typer.Option(metavar="NAME", help="The location of the node.")
    ] = None,
    leader: Annotated[
        bool | None,
        typer.Option("--leader/--no-leader", help="Prefer the node as the leader of its segment.",
                     show_default=False),
    ] = None,
    force_endpoint: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The endpoint that others dial.")
    ] = None,
    force_internal_ip: Annotated[
        str | None,
        typer.Option(metavar="CIDR", help="Its address within its location; - for none."),
    ] = None,
    persistent_keepalive: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="The persistent keepalive; 25 for a node behind NAT."),
    ] = None,
    allowed_location_ips: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR,...", help="Further networks of its location, such as a LAN."),
    ] = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Remove an annotation: location, force-endpoint, ..."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")
    ] = False,
    dry_run: Annotated[
        DryRun, typer.Option(help="Show the changes without making them.")
    ] = DryRun.NONE,
) -> None:  # fmt: skip
    """Set Kilo's annotations on nodes, after showing the effects on the network."""
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
