"""``kgctl peer``: add, change, check and remove Peers; the subcommands and their options.

The modules ``peer_*`` do the work.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgctl.cli.core.choices import complete_peer
from kgctl.cli.core.shared import Shared, with_shared


class DryRun(StrEnum):
    """Whether a change is only simulated: not at all, by kgctl, or by the API server."""

    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


class Format(StrEnum):
    """The output format of a created or changed Peer; the default is a message like kubectl's."""

    YAML = "yaml"
    JSON = "json"
    NAME = "name"


KnownName = Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_peer)]
KnownNames = Annotated[list[str], typer.Argument(metavar="NAME...", autocompletion=complete_peer)]
AllowedIPs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CIDR,...", help="The peer's allowed IPs: its addresses and networks. Repeatable."
    ),
]
Pools = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CIDR,...",
        help="Allocate an address from each of these networks. Default: the network of the "
        "existing peers, else 10.5.0.0/24.",
    ),
]
PublicKeyOption = Annotated[
    str | None, typer.Option("--public-key", metavar="KEY", help="The peer's public key.")
]
KeyFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The file for a new private key. Default: NAME.key."),
]
PresharedKeyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The file with the preshared key, or for a new one.",
    ),
]
NewPresharedKey = Annotated[
    bool,
    typer.Option(
        "--preshared-key",
        "--generate-preshared-key",
        help="Generate a preshared key, and write it to --preshared-key-file. Default: NAME.psk.",
    ),
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint", metavar="HOST:PORT", help="The endpoint at which nodes dial the peer."
    ),
]
Keepalive = Annotated[
    int | None,
    typer.Option(
        metavar="SECONDS",
        help="The persistent keepalive; 0 turns it off, and needs an endpoint. Default: 25 "
        "without an endpoint, else 0.",
    ),
]
ServiceCidrs = Annotated[
    list[str] | None,
    typer.Option(metavar="CIDR,...", help="Also avoid this service network. Repeatable."),
]
Lan = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CIDR,...",
        help="A network behind the machine, which others reach through it. Repeatable.",
    ),
]
Relay = Annotated[
    bool | None,
    typer.Option(
        "--relay/--no-relay",
        help="Whether the machine relays between machines that cannot call each other.",
        show_default=False,
    ),
]
Location = Annotated[
    str | None,
    typer.Option(
        "--location",
        metavar="WORD",
        help="Where the machine is: of several relays, the one in the same location is preferred.",
    ),
]
Platform = Annotated[
    str | None,
    typer.Option(
        "--platform",
        metavar="FORMAT",
        help="The format of the machine's file in kgctl showconf --all, such as networkd.",
    ),
]
Ssh = Annotated[
    str | None,
    typer.Option(
        "--ssh",
        metavar="[USER@]HOST[:PORT]",
        help="Where kgctl deploy reaches the machine by ssh.",
    ),
]
Sudo = Annotated[
    bool | None,
    typer.Option(
        "--sudo/--no-sudo",
        help="Whether kgctl deploy uses sudo on the machine.",
        show_default=False,
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(
        "--expires",
        metavar="TIME",
        help="When the peer stops taking part: after 30d (m, h, d, w), or at 2027-01-31, or at "
        "2027-01-31T12:00:00Z.",
    ),
]
Request = Annotated[
    str | None,
    typer.Option(
        "--request",
        metavar="LINE",
        help="A line that kgctl join-request printed on the machine, or - for stdin.",
    ),
]
AcceptLan = Annotated[
    bool, typer.Option("--accept-lan", help="Accept the networks that the --request names.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Accept allowed IPs and a public key that are in use.")
]
DryRunOption = Annotated[DryRun, typer.Option(help="Show the changes without making them.")]
Output = Annotated[
    Format | None, typer.Option("--output", "-o", help="Print the Peer in this format.")
]
NameOutput = Annotated[
    str | None, typer.Option("--output", "-o", metavar="name", help="Print only TYPE/NAME.")
]


app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
@with_shared
def peer(shared: Shared) -> None:
    """Add, change, check and remove Peers: machines outside the cluster."""


@app.command("add")
@with_shared
def add(
    shared: Shared,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Its name. Default: that of --request.")
    ] = None,
    allowed_ips: AllowedIPs = None,
    pool: Pools = None,
    lan: Lan = None,
    public_key: PublicKeyOption = None,
    private_key_file: KeyFile = None,
    preshared_key: NewPresharedKey = False,
    preshared_key_file: PresharedKeyFile = None,
    endpoint: EndpointOption = None,
    persistent_keepalive: Keepalive = None,
    service_cidr: ServiceCidrs = None,
    relay: Relay = None,
    location: Location = None,
    platform: Platform = None,
    ssh: Ssh = None,
    sudo: Sudo = None,
    expires: Expires = None,
    request: Request = None,
    accept_lan: AcceptLan = False,
    force: Force = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: Output = None,
) -> None:
    """Create the peer NAME, with a new key pair and a free address unless they are given.

    With --request, the key pair is the one that kgctl join-request made on the machine.
    """
    from kgctl.cli.commands.peer_add import NewPeer, add_peer
    from kgctl.cli.commands.peer_request import named, read_request, requested
    from kgctl.cli.commands.peer_settings import SettingOptions
    from kgctl.cli.commands.peer_target import target_of
    from kgctl.cli.core.arguments import UsageError

    asked = None if request is None else read_request(request)
    if asked is not None and name is None:
        name = asked.name
    new = NewPeer(
        name=named(name),
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
        lan=lan,
        settings=SettingOptions(relay, location, platform, ssh, sudo, expires).annotations(
            past=False
        ),
    )
    if asked is not None:
        new = requested(new, asked, accept_lan=accept_lan)
    elif accept_lan:
        raise UsageError("--accept-lan is about the networks of a --request")
    add_peer(target_of(shared), new, dry_run.value, output and output.value)


@app.command("import")
@with_shared
def import_(
    shared: Shared,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A WireGuard configuration file.")],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="The name of the Peer. Default: the name of the file."
        ),
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
    """Create a peer from the existing WireGuard configuration of a machine.

    Its addresses become the allowed IPs. Its private key stays in the file: the cluster gets only
    the public key.
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
    lan: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...",
            help="The networks behind the machine, besides its own addresses; empty to remove "
            "them. Repeatable.",
        ),
    ] = None,
    public_key: PublicKeyOption = None,
    preshared_key: NewPresharedKey = False,
    preshared_key_file: PresharedKeyFile = None,
    remove_preshared_key: Annotated[
        bool, typer.Option("--remove-preshared-key", help="Remove the preshared key.")
    ] = False,
    endpoint: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The endpoint; empty to remove it.")
    ] = None,
    persistent_keepalive: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            help="The persistent keepalive; 0 turns it off, and needs an endpoint.",
        ),
    ] = None,
    service_cidr: ServiceCidrs = None,
    relay: Relay = None,
    location: Location = None,
    platform: Platform = None,
    ssh: Ssh = None,
    sudo: Sudo = None,
    expires: Expires = None,
    force: Force = False,
    dry_run: DryRunOption = DryRun.NONE,
    output: Output = None,
) -> None:
    """Change the given fields of the peer NAME; the others stay as they are."""
    from kgctl.cli.commands.peer_change import Changes, set_peer
    from kgctl.cli.commands.peer_settings import SettingOptions
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
        lan=lan,
        settings=SettingOptions(relay, location, platform, ssh, sudo, expires).annotations(),
    )
    set_peer(target_of(shared), name, changes, dry_run.value, output and output.value)


@app.command("rotate")
@with_shared
def rotate(
    shared: Shared,
    name: KnownName,
    public_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The new public key. Default: generate a key pair."),
    ] = None,
    private_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The file for the new private key. Default: NAME.key, or NAME-2.key if it exists.",
        ),
    ] = None,
    preshared_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the new preshared key to this file."),
    ] = None,
    keep_preshared_key: Annotated[
        bool, typer.Option("--keep-preshared-key", help="Keep the existing preshared key.")
    ] = False,
) -> None:
    """Replace the key pair of the peer NAME, and its preshared key if it has one.

    Its addresses stay. The machine is disconnected until it gets the new configuration.
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
    """Delete peers; nodes remove their keys, so they lose access at once."""
    from kgctl.cli.commands.peer_remove import remove_peers
    from kgctl.cli.commands.peer_target import target_of

    remove_peers(
        target_of(shared),
        names,
        ignore_not_found=ignore_not_found,
        dry_run=dry_run.value,
        output=output,
    )


@app.command("prune")
@with_shared
def prune(
    shared: Shared,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only peers that expired so long ago: 7d (m, h, d, w)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the peers without deleting them.")
    ] = False,
) -> None:
    """Delete the peers that have expired; nodes of Kilo's own agents let them in until then."""
    from kgctl.cli.commands.peer_prune import prune_now
    from kgctl.cli.commands.peer_target import target_of

    prune_now(target_of(shared), older_than, dry_run=dry_run)


@app.command("rename")
@with_shared
def rename(
    shared: Shared,
    name: KnownName,
    new: Annotated[str, typer.Argument(metavar="NEW")],
    dry_run: DryRunOption = DryRun.NONE,
) -> None:
    """Rename the peer NAME of a network in a folder, and its files."""
    from kgctl.cli.commands.peer_change import rename_peer
    from kgctl.cli.commands.peer_target import target_of

    rename_peer(target_of(shared), name, new, dry_run.value)


@app.command("validate")
@with_shared
def validate(shared: Shared, service_cidr: ServiceCidrs = None) -> None:
    """Check every Peer against Kilo's rules, in a cluster or with -f in manifests.

    Exit code 1: a Peer is invalid.
    """
    from kgctl.cli.commands.peer_validate import validate_peers
    from kgctl.cli.core.arguments import cidrs
    from kgctl.cli.core.source import source_of

    service_cidrs = cidrs("--service-cidr", service_cidr)
    validate_peers(source_of(shared), service_cidrs, files=shared.filename or ())
