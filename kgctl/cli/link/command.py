"""``kgctl link CLUSTER CLUSTER...`` and ``kgctl unlink``: options in, and the work elsewhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgctl.cli.core.shared import Shared, of_several, with_shared_but
from kgctl.cli.link.limits import Accept, Deny, OnlyNetworks  # noqa: TC001  (Typer reads them)

app = typer.Typer(add_completion=False, rich_markup_mode=None)
unlink_app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Check(StrEnum):
    """What is checked before clusters are linked, and can be told not to matter."""

    OVERLAP = "overlap"
    ENDPOINTS = "endpoints"
    KEYS = "keys"
    GRANULARITY = "granularity"


class Format(StrEnum):
    """What files are written as."""

    YAML = "yaml"
    JSON = "json"


_Clusters = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CLUSTER CLUSTER...]",
        help="A kubeconfig context, a kubeconfig file, or manifests; NAME=CLUSTER names it.",
        show_default=False,
    ),
]
_File = Annotated[
    Path | None,
    typer.Option(
        "--filename",
        "-f",
        metavar="FILE",
        help="The file that says which clusters, and how: see docs/link.md, and --schema.",
    ),
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan, and change nothing.")]
_Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        "-d",
        metavar="DIR",
        help="Write the objects of each cluster to DIR/CLUSTER.yaml, and change no cluster.",
    ),
]
_Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", help="What --directory writes: yaml, unless it is json."),
]


def _print_schema(asked: bool) -> None:
    """Print the schema of the file and end, where it was asked for."""
    if asked:
        import json

        from kgctl.cli.core.output import answer
        from kgctl.link.mesh_format import mesh_schema

        answer(f"{json.dumps(mesh_schema(), indent=2)}\n")
        raise typer.Exit


@app.command()
@with_shared_but("filename")
@of_several
def link(
    shared: Shared,
    clusters: _Clusters = None,
    file: _File = None,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option(metavar="CLUSTER=CIDR", help="The service network of a cluster. Repeatable."),
    ] = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[CLUSTER=]NAMESPACE/SERVICE",
            help="Have this service of one cluster in all others, too. Repeatable.",
        ),
    ] = None,
    only_networks: OnlyNetworks = None,
    deny: Deny = None,
    accept: Accept = None,
    allow: Annotated[
        list[Check] | None,
        typer.Option(help="Link though this check fails. Repeatable."),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove links to segments that are gone.")
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over Peers that already link the clusters.")
    ] = False,
    directory: _Directory = None,
    output: _Output = None,
    dry_run: _DryRun = False,
    yes: _Yes = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and keep the links current.")
    ] = False,
    rotate: Annotated[
        bool,
        typer.Option(
            "--rotate-preshared-keys", help="Make the preshared keys that kgctl keeps anew."
        ),
    ] = False,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            help="Print the JSON Schema of the file.",
            is_eager=True,
            callback=_print_schema,
        ),
    ] = False,
) -> None:
    """Make clusters one network: each one's segments become Peers of the others.

    Checks that their networks go together, shows what it will do, and asks.
    """
    from kgctl.cli.limits import LimitOptions
    from kgctl.cli.link import run
    from kgctl.cli.link.options import LinkOptions

    options = LinkOptions(
        clusters=clusters or (),
        file=file,
        service_cidrs=service_cidr,
        mirrors=mirror,
        limits=LimitOptions(only_networks, deny, accept),
        allowed=frozenset(one.value for one in allow or ()),
        prune=prune,
        adopt=adopt,
        directory=directory,
        output=output,
        dry_run=dry_run,
        yes=yes,
        watch=watch,
        rotate=rotate,
    )
    run.link(shared, options)


@unlink_app.command()
@with_shared_but("filename")
@of_several
def unlink(
    shared: Shared,
    clusters: _Clusters = None,
    file: _File = None,
    dry_run: _DryRun = False,
    yes: _Yes = False,
) -> None:
    """Remove from each of the clusters the Peers that kgctl link made for the others."""
    from kgctl.cli.link import run
    from kgctl.cli.link.options import LinkOptions

    options = LinkOptions(clusters=clusters or (), file=file, prune=True, dry_run=dry_run, yes=yes)
    run.unlink(shared, options)
