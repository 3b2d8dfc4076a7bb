"""``kgctl init``: make a folder a network of machines, without Kubernetes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.core.arguments import UsageError, cidrs, within
from kgctl.cli.core.output import answer, note
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.mesh.peer import KEEPALIVES, NAT_KEEPALIVE
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.mesh.network import Network

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def _print_schema(asked: bool) -> None:
    """Print the schema of ``network.yaml`` and exit, if ``asked``."""
    if asked:
        import json

        from kgctl.state.network_file import network_schema

        answer(f"{json.dumps(network_schema(), indent=2)}\n")
        raise typer.Exit


@app.command()
@with_shared
def init(
    shared: Shared,
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder. Default: the current directory.")
    ] = Path(),
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The network's name. Default: that of the folder."),
    ] = None,
    pool: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...",
            help="New machines get an address from each of these networks. Repeatable. Default: "
            "a random IPv4 /24 and IPv6 /64.",
        ),
    ] = None,
    dns: Annotated[
        list[str] | None,
        typer.Option(metavar="IP,...", help="DNS servers for all machines. Repeatable."),
    ] = None,
    search_domain: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN,...", help="DNS search domains for all machines. Repeatable."),
    ] = None,
    persistent_keepalive: Annotated[
        int,
        typer.Option(metavar="SECONDS", help="The keepalive of machines without an endpoint."),
    ] = NAT_KEEPALIVE,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            help="Print the JSON Schema of network.yaml, for editors.",
            is_eager=True,
            callback=_print_schema,
        ),
    ] = False,
) -> None:
    """Make the folder DIR a network: WireGuard between machines, without Kubernetes.

    It gets a network.yaml, which describes the network, and a .gitignore, which keeps private keys
    out of git. "kgctl peer add" then adds machines.
    """
    from kgctl.cli.commands.quick import domains, servers
    from kgctl.edit.new_network import check_new, make_network, pools_for
    from kgctl.mesh.network import Network

    check_new(folder)
    given = tuple(one.masked() for one in cidrs("--pool", pool))
    found = Network(
        network_name(name, folder),
        given or pools_for(folder),
        within("--persistent-keepalive", persistent_keepalive, KEEPALIVES[1:]),
        servers(dns),
        tuple(domains(search_domain)),
    )
    check_network(found)
    make_network(folder, found)
    answer(f"network/{found.name} created\n")
    note(f"new machines get addresses from {' and '.join(map(str, found.pools))}")
    within_it = folder.resolve() == Path.cwd().resolve()
    command = ["kgctl", "peer", "add", "NAME", *([] if within_it else ["-f", str(folder)])]
    note(f"next: {printable(shlex.join(command), 1000)}")


def network_name(given: str | None, folder: Path) -> str:
    """Return the ``given`` name of a network, else one from the name of its folder.

    Raises:
        UsageError: the given one is invalid.
    """
    from kgctl.state.network_file import FORMS, NAME

    name = given
    if name is None:
        name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower())[:63].strip("-")
        name = name or "network"
    if not re.fullmatch(NAME, name):
        raise UsageError(f'--name "{printable(name)}" is not {FORMS[NAME]}')
    return name


def check_network(network: Network) -> None:
    """Check what options say as ``network.yaml`` is checked.

    Raises:
        UsageError: the networks overlap, or are too small; the message has the reason.
    """
    from kgctl.state.marked_yaml import PlacedError
    from kgctl.state.network_file import new_network_file, parse_network

    try:
        parse_network("", new_network_file(network).encode())
    except PlacedError as error:
        raise UsageError(f"--pool: {str(error).split(': ', 1)[1]}") from None
