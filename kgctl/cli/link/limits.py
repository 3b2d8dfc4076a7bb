"""What clusters grant of one another's claims, as the command line says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.core.arguments import UsageError, split_values
from kgctl.cli.limits import LimitOptions
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kgctl.mesh.policy import Limits

OnlyNetworks = Annotated[
    list[str] | None,
    typer.Option(
        "--only-networks",
        metavar="[CLUSTER=]CIDR,...",
        help="Grant a cluster (all) nothing but what lies in these networks. Repeatable.",
    ),
]
Deny = Annotated[
    list[str] | None,
    typer.Option(
        "--deny",
        metavar="[CLUSTER=]CIDR,...",
        help="Grant a cluster (all) nothing of these networks. Repeatable.",
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
    """Return what options grant of each cluster's claims, by its name; nothing where none are.

    Raises:
        UsageError: a value is no network, or names no cluster of the command line.
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
                f'{option} "{printable(text)}" names no cluster; it is one of '
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
            f'--accept "{printable(text)}" is not of the form CLUSTER/NODE=CIDR, as '
            "west/edge-1=198.51.100.0/24 is"
        )
    return cluster.strip(), rest
