"""``kgctl peer import``: a Peer from the configuration file that a machine has already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.arguments import UsageError
from kgctl.cli.output import note
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.cli.peer.add import NewPeer
    from kgctl.wireguard.conf import Configuration, Interface

_MAX_FILE = 1 << 20  # bytes
_OTHER_KEYS = frozenset(
    ("allowedips", "dns", "endpoint", "fwmark", "mtu", "postdown", "postup", "predown", "preup",
     "presharedkey", "saveconfig", "table")
)  # fmt: skip
"""The keys of wg(8) and wg-quick(8) that say nothing of the machine as a peer of others."""


def adopted(file: Path, new: NewPeer) -> NewPeer:
    """Return ``new`` with what it leaves open taken from the ``[Interface]`` of a file.

    Its addresses become the allowed IPs, each alone: the network that it stands in belongs to the
    machine's old VPN. Its private key stays in the file; the keepalive is that of its peers.

    Raises:
        UsageError: the file cannot be read, or lacks a key or an address.
        ConfigurationError: it is no WireGuard configuration.
    """
    configuration = _read(file)
    interface = configuration.interface
    if interface is None:
        raise UsageError(f"{printable(str(file))} has no [Interface] section")
    keepalive = max((peer.persistent_keepalive for peer in configuration.peers), default=0) or None
    if new.persistent_keepalive is not None:
        keepalive = new.persistent_keepalive
    if new.endpoint is None and interface.listen_port is not None:
        note(
            f"it listens on port {interface.listen_port}: if the nodes can dial it, give "
            f"--endpoint HOST:{interface.listen_port}"
        )
    return new._replace(
        allowed_ips=new.allowed_ips or _addresses(file, interface),
        public_key=new.public_key or _public_key(file, interface),
        persistent_keepalive=keepalive,
    )


def _read(file: Path) -> Configuration:
    from kgctl.wireguard.parse import parse_configuration

    label = printable(str(file))
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"cannot read {label}: {error.strerror}") from None
    if len(content) > _MAX_FILE:
        raise UsageError(f"{label} is no WireGuard configuration: it has more than 1 MiB")
    return parse_configuration(content.decode("utf-8", "replace"), label, passing_over=_OTHER_KEYS)


def _addresses(file: Path, interface: Interface) -> list[str]:
    from kgctl.mesh.cidr import single

    if not interface.addresses:
        raise UsageError(
            f"{printable(str(file))} has no Address in its [Interface]; give --allowed-ips"
        )
    return [str(single(cidr.address)) for cidr in interface.addresses]


def _public_key(file: Path, interface: Interface) -> str:
    if interface.private_key is None:
        raise UsageError(
            f"{printable(str(file))} has no PrivateKey in its [Interface]; give --public-key"
        )
    return str(interface.private_key.public_key())
