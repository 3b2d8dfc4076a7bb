"""The options that the commands of ``kgctl peer`` share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgctl.cli.completing import complete_peer


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
