"""Reading what wg tells of interfaces: ``show all dump``, ``show IFACE dump``, ``showconf``.

Format: wg(8), "show" and "showconf". No message shows anything of a line: it holds
private and preshared keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.wireguard.parse import parse_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint

_NONE, _OFF = "(none)", "off"
_INTERFACE, _PEER = 4, 8  # fields of a line; ``show all`` puts the interface's name before them


class DumpError(KgctlError):
    """What was given is none of wg's outputs."""


class DevicePeer(NamedTuple):
    """A peer as an interface has it. ``latest_handshake`` is in Unix seconds; 0 is never.

    It is None where that is not known: ``wg showconf`` does not tell.
    """

    public_key: PublicKey
    allowed_ips: tuple[Cidr, ...] = ()
    endpoint: Endpoint | None = None
    keepalive: int = 0
    preshared_key: PresharedKey | None = None
    latest_handshake: int | None = None


class Device(NamedTuple):
    """An interface. ``name`` is empty, and the key and port None, where they are not told."""

    name: str
    public_key: PublicKey | None
    listen_port: int | None
    peers: tuple[DevicePeer, ...]


def parse_devices(text: str, label: str) -> list[Device]:
    """Return the interfaces that a text of wg's tells of; errors call it ``label``.

    Raises:
        DumpError: it is none of wg's outputs.
        ConfigurationError: it is ``wg showconf``'s, with a line that is not.
    """
    lines = [line for line in text.split("\n") if line]
    if not lines:
        raise DumpError(f"{label} is empty: give it what this prints: wg show all dump")
    if "\t" not in lines[0]:
        return [_configured(text, label)]
    return _dumped([line.split("\t") for line in lines], label)


def _configured(text: str, label: str) -> Device:
    found = parse_configuration(text, label, passing_over=("fwmark",))
    interface = found.interface
    key = interface.private_key.public_key() if interface and interface.private_key else None
    peers = tuple(
        DevicePeer(
            peer.public_key,
            tuple(cidr.masked() for cidr in peer.allowed_ips),
            peer.endpoint,
            peer.persistent_keepalive,
            peer.preshared_key,
        )
        for peer in found.peers
    )
    return Device("", key, interface.listen_port if interface else None, peers)


def _dumped(rows: Sequence[list[str]], label: str) -> list[Device]:
    every = len(rows[0]) == _INTERFACE + 1  # of ``show all``
    devices: list[tuple[Device, list[DevicePeer]]] = []
    for number, row in enumerate(rows, 1):
        name, fields = (row[0], row[1:]) if every else ("", row)
        if len(fields) == _INTERFACE:
            devices.append((_device(name, fields), []))
        elif len(fields) == _PEER and devices:
            peer = _peer(fields)
            if peer is None:
                raise DumpError(f"{label}, line {number}: this is no peer as wg writes one")
            devices[-1][1].append(peer)
        else:
            raise DumpError(
                f"{label}, line {number}: wg writes no line of {len(row)} fields; give it what "
                "this prints: wg show all dump"
            )
    return [device._replace(peers=tuple(peers)) for device, peers in devices]


def _device(name: str, fields: list[str]) -> Device:
    """Return the interface of a line; its private key, the first field, is left alone."""
    _, public_key, port, _ = fields
    return Device(name, PublicKey.parse(public_key), _number(port), ())


def _peer(fields: list[str]) -> DevicePeer | None:
    key_text, preshared, endpoint_text, allowed, handshake_text, _, _, keepalive_text = fields
    key, handshake = PublicKey.parse(key_text), _number(handshake_text)
    keepalive = 0 if keepalive_text == _OFF else _number(keepalive_text)
    networks = [parse_cidr(text) for text in _listed(allowed)]
    endpoint = parse_endpoint(_without_zone(endpoint_text))
    if key is None or handshake is None or keepalive is None or None in networks:
        return None
    if endpoint is None and endpoint_text != _NONE:
        return None
    return DevicePeer(
        key,
        tuple(network for network in networks if network is not None),
        endpoint,
        keepalive,
        PresharedKey.parse(preshared),
        handshake,
    )


def _listed(text: str) -> Iterator[str]:
    return iter(()) if text in ("", _NONE) else iter(text.split(","))


def _without_zone(text: str) -> str:
    """Return ``[fe80::1%eth0]:51820`` without the interface that it is at."""
    before, percent, after = text.partition("%")
    return before + "]" + after.partition("]")[2] if percent else text


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
