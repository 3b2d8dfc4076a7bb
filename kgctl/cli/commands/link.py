"""``kgctl link`` and ``kgctl unlink``: their options, and the limits on claims of clusters.

``kgctl.cli.commands.link_run`` does the work.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.core.arguments import UsageError, split_values
from kgctl.cli.core.limits import LimitOptions
from kgctl.cli.core.shared import Shared, of_several, with_shared_but
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kgctl.mesh.policy import Limits


OnlyNetworks = Annotated[
    list[str] | None,
    typer.Option(
        "--only-networks",
        metavar="[CLUSTER=]CIDR,...",
        help="Grant a cluster (default: all) only what lies in these networks. Repeatable.",
    ),
]
Deny = Annotated[
    list[str] | None,
    typer.Option(
        "--deny",
        metavar="[CLUSTER=]CIDR,...",
        help="Refuse these networks to a cluster (default: all). Repeatable.",
    ),
]
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="CLUSTER/NODE=CIDR,...",
        help="Grant this node (*: all) of a cluster public, wide or new networks. Repeatable.",
    ),
]


def limits_of_options(options: LimitOptions, names: Sequence[str]) -> dict[str, Limits]:
    """Return the limits on each cluster's claims, by its name; empty if no option is given.

    Raises:
        UsageError: a value is not a network, or names no cluster of the command line.
    """
    if not any(options):
        return {}
    only = _by_cluster("--only-networks", options.only_networks, names, _of_network)
    deny = _by_cluster("--deny", options.deny, names, _of_network)
    accept = _by_cluster("--accept", options.accept, names, _of_node)
    return {
        name: LimitOptions(only[name] or None, deny[name] or None, accept[name] or None).limits()
        for name in names
    }


def _by_cluster(
    option: str,
    values: Sequence[str] | None,
    names: Sequence[str],
    parts: Callable[[str], tuple[str, str]],
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in names}
    for text in split_values(values):
        cluster, rest = parts(text)
        if cluster and cluster not in found:
            raise UsageError(
                f'{option} "{printable(text)}" names an unknown cluster; give one of '
                f"{', '.join(map(printable, names))}"
            )
        for name in [cluster] if cluster else names:
            found[name].append(rest)
    return found


def _of_network(text: str) -> tuple[str, str]:
    cluster, _, network = text.rpartition("=")
    return cluster.strip(), network


def _of_node(text: str) -> tuple[str, str]:
    cluster, slash, rest = text.partition("/")
    if not slash or not cluster.strip() or "=" in cluster:
        raise UsageError(
            f'--accept "{printable(text)}" does not have the form CLUSTER/NODE=CIDR, such as '
            "west/edge-1=198.51.100.0/24"
        )
    return cluster.strip(), rest


app = typer.Typer(add_completion=False, rich_markup_mode=None)
unlink_app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Check(StrEnum):
    """A check before clusters are linked that ``--allow`` can switch off."""

    OVERLAP = "overlap"
    ENDPOINTS = "endpoints"
    KEYS = "keys"
    GRANULARITY = "granularity"


class Format(StrEnum):
    """The format of the files that ``--directory`` writes."""

    YAML = "yaml"
    JSON = "json"


_Clusters = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CLUSTER CLUSTER...]",
        help="A kubeconfig context, a kubeconfig file, or manifests; NAME=CLUSTER sets its name.",
        show_default=False,
    ),
]
_File = Annotated[
    Path | None,
    typer.Option(
        "--filename",
        "-f",
        metavar="FILE",
        help="The mesh file, which describes the clusters and their links. See --schema.",
    ),
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
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
    typer.Option("--output", "-o", help="The format of --directory. Default: yaml."),
]


def _print_schema(asked: bool) -> None:
    """Print the schema of the mesh file and exit, if ``asked``."""
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
            help="Mirror this service of one cluster in all others. Repeatable.",
        ),
    ] = None,
    only_networks: OnlyNetworks = None,
    deny: Deny = None,
    accept: Accept = None,
    allow: Annotated[
        list[Check] | None,
        typer.Option(help="Link even if this check fails. Repeatable."),
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
        bool, typer.Option("--watch", help="Keep running, and update the links.")
    ] = False,
    rotate: Annotated[
        bool,
        typer.Option(
            "--rotate-preshared-keys", help="Replace the preshared keys that kgctl generated."
        ),
    ] = False,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            help="Print the JSON Schema of the mesh file.",
            is_eager=True,
            callback=_print_schema,
        ),
    ] = False,
) -> None:
    """Link clusters into one network: each cluster gets the segments of the others as Peers.

    Checks that the networks are compatible, shows the plan, and asks for confirmation.
    """
    from kgctl.cli.commands import link_run
    from kgctl.cli.commands.link_run import LinkOptions

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
    link_run.link(shared, options)


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
    """Remove the links between clusters: the Peers that kgctl link created."""
    from kgctl.cli.commands import link_run
    from kgctl.cli.commands.link_run import LinkOptions

    options = LinkOptions(clusters=clusters or (), file=file, prune=True, dry_run=dry_run, yes=yes)
    link_run.remove_links(shared, options)
