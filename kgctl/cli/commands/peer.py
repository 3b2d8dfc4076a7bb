"""``kgctl peer``: the machines outside the cluster, added, changed, checked and removed.

The options that the commands of ``kgctl peer`` share.

The commands of ``kgctl peer``: options in, and the work elsewhere.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgctl.cli.core.choices import complete_peer
from kgctl.cli.core.shared import Shared, with_shared


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
KnownNames = Annotated[list[str], typer.Argument(metavar="NAME...", autocompletion=complete_peer)]
AllowedIPs = Annotated[
    list[str] | None,
    typer.Option(metavar="CIDR,...", help="The peer's allowed IPs: its addresses, its networks."),
]
Pools = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CIDR,...",
        help="Allocate an address from here, one from each. Default: where the peers are, else "
        "10.5.0.0/24.",
    ),
]
PublicKeyOption = Annotated[
    str | None, typer.Option("--public-key", metavar="KEY", help="The peer's public key.")
]
KeyFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where a new private key goes. Default: NAME.key."),
]
PresharedKeyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The file that holds the preshared key, or that a new one goes into.",
    ),
]
NewPresharedKey = Annotated[
    bool,
    typer.Option(
        "--preshared-key",
        "--generate-preshared-key",
        help="Make a new preshared key, and write it into a file too. Default: NAME.psk.",
    ),
]
EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint", metavar="HOST:PORT", help="Where the nodes can dial the peer."),
]
Keepalive = Annotated[
    int | None,
    typer.Option(
        metavar="SECONDS",
        help="The keepalive; 0, which needs an endpoint, turns it off. Default: 25 without an "
        "endpoint, else 0.",
    ),
]
ServiceCidrs = Annotated[
    list[str] | None,
    typer.Option(metavar="CIDR,...", help="Keep clear of this service network as well."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Take allowed IPs and a public key that are in use.")
]
DryRunOption = Annotated[DryRun, typer.Option(help="Only show what would be done.")]
Output = Annotated[Format | None, typer.Option("--output", "-o", help="Print the Peer.")]
NameOutput = Annotated[
    str | None, typer.Option("--output", "-o", metavar="name", help="Print TYPE/NAME only.")
]


app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
@with_shared
def peer(shared: Shared) -> None:
    """Add, change, check and remove the machines outside the cluster."""


@app.command("add")
@with_shared
def add(
    shared: Shared,
    name: NewName,
    allowed_ips: AllowedIPs = None,
    pool: Pools = None,
    public_key: PublicKeyOption = None,
    private_key_file: KeyFile = None,
    preshared_key: NewPresharedKey = False,
    preshared_key_file: PresharedKeyFile = None,
    endpoint: EndpointOption = None,
    persistent_keepalive: Keepalive = None,
    service_cidr: ServiceCidrs = None,
    force: Force = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: Output = None,
) -> None:
    """Create the peer NAME: with a new key pair and a free address, unless they are given."""
    from kgctl.cli.commands.peer_add import NewPeer, add_peer
    from kgctl.cli.commands.peer_target import target_of

    new = NewPeer(
        name=name,
        allowed_ips=allowed_ips,
        pools=pool,
        public_key=public_key,
        private_key_file=private_key_file,
        preshared_key_file=preshared_key_file,
        new_preshared_key=preshared_key,
        endpoint=endpoint,
        persistent_keepalive=persistent_keepalive,
        service_cidrs=service_cidr,
        force=force,
    )
    add_peer(target_of(shared), new, dry_run.value, output and output.value)


@app.command("import")
@with_shared
def import_(
    shared: Shared,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A WireGuard configuration file.")],
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Default: the file's name.")
    ] = None,
    allowed_ips: AllowedIPs = None,
    public_key: PublicKeyOption = None,
    endpoint: EndpointOption = None,
    persistent_keepalive: Keepalive = None,
    service_cidr: ServiceCidrs = None,
    force: Force = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: Output = None,
) -> None:
    """Create a peer from the WireGuard configuration that a machine has already.

    Its own addresses become the allowed IPs. Its private key stays in the file: the cluster gets
    the public one.
    """
    from kgctl.cli.commands.peer_add import NewPeer, add_peer
    from kgctl.cli.commands.peer_adopt import adopted
    from kgctl.cli.commands.peer_target import target_of

    new = NewPeer(
        name=file.stem if name is None else name,
        allowed_ips=allowed_ips,
        public_key=public_key,
        endpoint=endpoint,
        persistent_keepalive=persistent_keepalive,
        service_cidrs=service_cidr,
        force=force,
    )
    add_peer(target_of(shared), adopted(file, new), dry_run.value, output and output.value)


@app.command("set")
@with_shared
def set_(
    shared: Shared,
    name: KnownName,
    allowed_ips: AllowedIPs = None,
    public_key: PublicKeyOption = None,
    preshared_key: NewPresharedKey = False,
    preshared_key_file: PresharedKeyFile = None,
    remove_preshared_key: Annotated[
        bool, typer.Option("--remove-preshared-key", help="Do without a preshared key.")
    ] = False,
    endpoint: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The endpoint; an empty one removes it.")
    ] = None,
    persistent_keepalive: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", help="The keepalive; 0, which needs an endpoint, turns it off."
        ),
    ] = None,
    service_cidr: ServiceCidrs = None,
    force: Force = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: Output = None,
) -> None:
    """Change what is given of the peer NAME, and nothing else."""
    from kgctl.cli.commands.peer_change import Changes, set_peer
    from kgctl.cli.commands.peer_target import target_of

    changes = Changes(
        allowed_ips=allowed_ips,
        public_key=public_key,
        preshared_key_file=preshared_key_file,
        new_preshared_key=preshared_key,
        remove_preshared_key=remove_preshared_key,
        endpoint=endpoint,
        persistent_keepalive=persistent_keepalive,
        service_cidrs=service_cidr,
        force=force,
    )
    set_peer(target_of(shared), name, changes, dry_run.value, output and output.value)


@app.command("rotate")
@with_shared
def rotate(
    shared: Shared,
    name: KnownName,
    public_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The new public key. Default: make one.")
    ] = None,
    private_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where a new private key goes. Default: NAME.key, or NAME-2.key if that is there.",
        ),
    ] = None,
    preshared_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where a new preshared key goes, beside the Peer."),
    ] = None,
    keep_preshared_key: Annotated[
        bool, typer.Option("--keep-preshared-key", help="Keep the preshared key that it has.")
    ] = False,
) -> None:
    """Give the peer NAME a new key pair, and a new preshared key if it had one.

    Its addresses stay. The machine is off the network until it has the new configuration.
    """
    from kgctl.cli.commands.peer_change import Renewal, rotate_peer
    from kgctl.cli.commands.peer_target import target_of

    renewal = Renewal(public_key, private_key_file, preshared_key_file, keep_preshared_key)
    rotate_peer(target_of(shared), name, renewal)


@app.command("rm")
@with_shared
def rm(
    shared: Shared,
    names: KnownNames,
    ignore_not_found: Annotated[
        bool, typer.Option("--ignore-not-found", help="Do not fail for a peer that does not exist.")
    ] = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: NameOutput = None,
) -> None:
    """Delete peers: the nodes forget their keys, so they lose access at once."""
    from kgctl.cli.commands.peer_remove import remove_peers
    from kgctl.cli.commands.peer_target import target_of

    remove_peers(
        target_of(shared),
        names,
        ignore_not_found=ignore_not_found,
        dry_run=dry_run.value,
        output=output,
    )


@app.command("validate")
@with_shared
def validate(shared: Shared, service_cidr: ServiceCidrs = None) -> None:
    """Check every Peer by Kilo's rules; with -f offline, in manifests. Exit 1 if one is invalid."""
    from kgctl.cli.commands.peer_validate import validate_peers
    from kgctl.cli.core.arguments import cidrs
    from kgctl.cli.core.reading import source_of

    service_cidrs = cidrs("--service-cidr", service_cidr)
    validate_peers(source_of(shared), service_cidrs, files=shared.filename or ())
