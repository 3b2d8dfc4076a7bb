"""``kgctl peer``: the machines outside the cluster, added, changed and removed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgctl.cli.names import complete_peer
from kgctl.cli.shared import Shared, with_shared

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


class DryRun(StrEnum):
    """Whether a change is only shown: not at all, by kgctl, or by the API server."""

    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


class Format(StrEnum):
    """How a Peer that was created or changed is printed; without one, as kubectl says it."""

    YAML = "yaml"
    JSON = "json"
    NAME = "name"


NewName = Annotated[str, typer.Argument(metavar="NAME")]
KnownName = Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_peer)]
AllowedIPs = Annotated[
    list[str] | None,
    typer.Option(metavar="CIDR,...", help="The peer's allowed IPs: its addresses, its networks."),
]
PublicKey = Annotated[str | None, typer.Option(metavar="KEY", help="The peer's public key.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where a new private key goes. Default: NAME.key."),
]
PresharedKeyFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The file that holds the preshared key.")
]
GeneratePsk = Annotated[
    bool,
    typer.Option("--generate-preshared-key", help="Make a new preshared key for the peer."),
]
PeerEndpoint = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where the nodes can dial the peer.")
]
Keepalive = Annotated[
    int | None,
    typer.Option(metavar="SECONDS", help="The keepalive. Default: 25 without an endpoint, else 0."),
]
ServiceCidrs = Annotated[
    list[str] | None,
    typer.Option(metavar="CIDR,...", help="Keep clear of this service network as well."),
]
Force = Annotated[bool, typer.Option("--force", help="Take allowed IPs that are in use.")]
DryRunOption = Annotated[DryRun, typer.Option(help="Only show what would be done.")]
Output = Annotated[Format | None, typer.Option("--output", "-o", help="Print the Peer.")]


@app.callback()
@with_shared
def peer(shared: Shared) -> None:
    """Add, change and remove the machines outside the cluster."""


@app.command("add")
@with_shared
def add(
    shared: Shared,
    name: NewName,
    allowed_ips: AllowedIPs = None,
    pool: Annotated[
        str | None,
        typer.Option(
            metavar="CIDR", help="Allocate from here. Default: where the peers are; 10.5.0.0/24."
        ),
    ] = None,
    public_key: PublicKey = None,
    private_key_file: KeyFile = None,
    preshared_key_file: PresharedKeyFile = None,
    generate_preshared_key: GeneratePsk = False,
    endpoint: PeerEndpoint = None,
    persistent_keepalive: Keepalive = None,
    service_cidr: ServiceCidrs = None,
    force: Force = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: Output = None,
) -> None:
    """Create the peer NAME: with a new key pair and a free address, unless they are given."""
    from kgctl.cli.peer_add import NewPeer, add_peer

    add_peer(
        shared,
        NewPeer(
            name, allowed_ips, pool, public_key, private_key_file, preshared_key_file,
            generate_preshared_key, endpoint, persistent_keepalive, service_cidr, force,
        ),
        dry_run.value,
        output.value if output else None,
    )  # fmt: skip


@app.command("import")
@with_shared
def import_(
    shared: Shared,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A WireGuard configuration file.")],
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Default: the file's name.")
    ] = None,
    endpoint: PeerEndpoint = None,
    persistent_keepalive: Keepalive = None,
    force: Force = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: Output = None,
) -> None:
    """Create a peer from the WireGuard configuration that a machine has already.

    Its addresses become the allowed IPs; of its private key only the public one leaves the file.
    """
    from kgctl.cli.peer_add import import_peer

    import_peer(
        shared, file, name, endpoint, persistent_keepalive, force, dry_run.value,
        output.value if output else None,
    )  # fmt: skip


@app.command("set")
@with_shared
def set_(
    shared: Shared,
    name: KnownName,
    allowed_ips: AllowedIPs = None,
    public_key: PublicKey = None,
    preshared_key_file: PresharedKeyFile = None,
    generate_preshared_key: GeneratePsk = False,
    remove_preshared_key: Annotated[
        bool, typer.Option("--remove-preshared-key", help="Do without a preshared key.")
    ] = False,
    endpoint: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The endpoint; an empty one removes it.")
    ] = None,
    persistent_keepalive: Annotated[
        int | None, typer.Option(metavar="SECONDS", help="The keepalive; 0 switches it off.")
    ] = None,
    service_cidr: ServiceCidrs = None,
    force: Force = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: Output = None,
) -> None:
    """Change what is given of the peer NAME, and nothing else."""
    from kgctl.cli.peer_change import Changes, set_peer

    set_peer(
        shared,
        name,
        Changes(
            allowed_ips, public_key, preshared_key_file, generate_preshared_key,
            remove_preshared_key, endpoint, persistent_keepalive, service_cidr, force,
        ),
        dry_run.value,
        output.value if output else None,
    )  # fmt: skip


@app.command("rotate")
@with_shared
def rotate(shared: Shared, name: KnownName, private_key_file: KeyFile = None) -> None:
    """Give the peer NAME a new key pair, and a new preshared key if it had one.

    Its addresses stay. The machine is off the network until it has the new configuration.
    """
    from kgctl.cli.peer_change import rotate_peer

    rotate_peer(shared, name, private_key_file)


@app.command("rm")
@with_shared
def rm(
    shared: Shared,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", autocompletion=complete_peer)],
    ignore_not_found: Annotated[
        bool, typer.Option("--ignore-not-found", help="A peer that is not there is no error.")
    ] = False,
    dry_run: DryRunOption = DryRun.NONE,
) -> None:
    """Delete peers: the nodes forget their keys, so they lose access at once."""
    from kgctl.cli.peer_change import remove_peers

    remove_peers(shared, names, ignore_not_found, dry_run.value)


@app.command("validate")
@with_shared
def validate(shared: Shared) -> None:
    """Check every Peer by Kilo's rules; with -f offline, in manifests. Exit 1 if one is invalid."""
    from kgctl.cli.peer_change import validate_peers

    validate_peers(shared)
