"""Work of ``kgctl peer import``: create a Peer from a machine's configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import note
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.cli.commands.peer_add import NewPeer
    from kgctl.wireguard.dump import Device, DevicePeer
    from kgctl.wireguard.machinefiles import MachineFile

_MAX_FILE = 1 << 20  # bytes
_SHOWN = 8  # networks that a note names; the rest is counted


def adopted(file: Path, new: NewPeer) -> NewPeer:
    """Return ``new`` with missing values filled in from a machine's file.

    Its addresses become the allowed IPs, without their networks, which belong to the machine's old
    VPN. Its private key stays in the file. The keepalive is the largest of its peers. If ``new``
    has the public key of one of these peers, the values are those of that peer.

    Raises:
        UsageError: the file cannot be read, or lacks a key or an address.
        KgctlError: the file is not a WireGuard configuration, or a line of it is invalid.
    """
    found = _read(file)
    if len(found.devices) != 1:
        raise UsageError(
            f"{_shown(file)} is {found.kind.noun}, of {len(found.devices)} interfaces; give one"
        )
    device = found.devices[0]
    other = _other_peer(device, new)
    if other is not None:
        return _with_other(new, other)
    _tell(device, new)
    keepalive = max((peer.keepalive for peer in device.peers), default=0) or None
    if new.persistent_keepalive is not None:
        keepalive = new.persistent_keepalive
    return new._replace(
        allowed_ips=new.allowed_ips or _addresses(file, found, device),
        public_key=new.public_key or _public_key(file, found, device),
        persistent_keepalive=keepalive,
    )


def _read(file: Path) -> MachineFile:
    from kgctl.wireguard.machinefiles import decoded, read_machine_file

    label = _shown(file)
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"cannot read {label}: {error.strerror}") from None
    if len(content) > _MAX_FILE:
        raise UsageError(f"{label} is not a WireGuard configuration: it has more than 1 MiB")
    return read_machine_file(decoded(content), label)


def _other_peer(device: Device, new: NewPeer) -> DevicePeer | None:
    """Return the peer of the file that ``--public-key`` names, if any."""
    from kgctl.cli.commands.peer_values import public_key_of

    if new.public_key is None:
        return None
    key = public_key_of(new.public_key)
    return next((peer for peer in device.peers if peer.public_key == key), None)


def _with_other(new: NewPeer, other: DevicePeer) -> NewPeer:
    """Return ``new`` with the values of that peer in the file."""
    if other.preshared_key is not None or other.hidden_key:
        note(
            "its preshared key belongs to the two machines of the file, and is not imported; "
            "to generate one for the nodes: kgctl peer set --preshared-key"
        )
    endpoint = None if other.endpoint is None else str(other.endpoint)
    return new._replace(
        allowed_ips=new.allowed_ips or [str(cidr) for cidr in other.allowed_ips] or None,
        endpoint=endpoint if new.endpoint is None else new.endpoint,
        persistent_keepalive=(
            (other.keepalive or None)
            if new.persistent_keepalive is None
            else new.persistent_keepalive
        ),
    )


def _tell(device: Device, new: NewPeer) -> None:
    """Print on stderr the settings of the file that the Peer does not get."""
    if new.endpoint is None and device.listen_port:
        note(
            f"it listens on port {device.listen_port}: if the nodes can dial it, give "
            f"--endpoint HOST:{device.listen_port}"
        )
    if device.obfuscation:
        note(
            f"it uses AmneziaWG ({', '.join(device.obfuscation)}), which Kilo's nodes do not "
            "support: it needs an interface without these settings"
        )
    behind = [str(cidr) for peer in device.peers if peer.endpoint is None
              for cidr in peer.allowed_ips if cidr.prefix]  # fmt: skip
    if behind and new.allowed_ips is None:
        note(
            f"behind it are {some(behind, _SHOWN)}, of peers that dial it: to reach them through "
            "it, add them to --allowed-ips after its own addresses; to make one of them a peer of "
            "the cluster, give its key with --public-key"
        )


def _addresses(file: Path, found: MachineFile, device: Device) -> list[str]:
    from kgctl.mesh.cidr import single

    if not device.addresses:
        raise UsageError(f"{_lacks(file, found, 'Address', 'address')}; give --allowed-ips")
    return [str(single(cidr.address)) for cidr in device.addresses]


def _public_key(file: Path, found: MachineFile, device: Device) -> str:
    if device.public_key is None:
        raise UsageError(f"{_lacks(file, found, 'PrivateKey', 'key')}; give --public-key")
    return str(device.public_key)


def _lacks(file: Path, found: MachineFile, key: str, what: str) -> str:
    if found.kind.sectioned:
        return f"{_shown(file)} has no {key} in its [Interface]"
    return f"{_shown(file)} is {found.kind.noun}, and holds no {what} of the machine"


def _shown(file: Path) -> str:
    return printable(str(file))
