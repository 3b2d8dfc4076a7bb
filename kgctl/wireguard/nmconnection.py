"""Writer and reader of NetworkManager's keyfile for an outside machine.

Keys and sections: nm-settings-keyfile(5), and nm-settings(5), "wireguard setting".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.text import printable
from kgctl.wireguard.conf import Configuration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.wireguard.conf import Interface, PeerSection
    from kgctl.wireguard.parse import IniSection, Line

_PEER_PREFIX = "wireguard-peer."
_PEER_KEYS = {
    "endpoint": "Endpoint",
    "preshared-key": "PresharedKey",
    "persistent-keepalive": "PersistentKeepalive",
    "allowed-ips": "AllowedIPs",
}
_INTERFACE_KEYS = {"private-key": "PrivateKey", "listen-port": "ListenPort"}

_NAMESPACE = "e7b9e5a8-3f5c-5d0e-9d0b-6a1f0c6f4b51"
"""The namespace of the UUIDs of our connections (RFC 9562, section 5.5)."""


def nmconnection_file(configuration: Configuration, name: str, identity: str) -> str:
    """Return the keyfile for an interface called ``name``.

    ``identity`` identifies the connection: the same identity has the same UUID, so that a new file
    replaces the old connection.
    """
    from uuid import UUID, uuid5

    interface = configuration.interface
    assert interface is not None
    lines = ["[connection]", f"id={name}", f"uuid={uuid5(UUID(_NAMESPACE), identity)}"]
    lines += ["type=wireguard", f"interface-name={name}", "", *_wireguard(interface)]
    for peer in configuration.peers:
        lines += _peer(peer)
    routed = {cidr.version for peer in configuration.peers for cidr in peer.allowed_ips}
    for version in (4, 6):
        lines += _addresses(interface, version, routed=version in routed)
    return "\n".join(lines) + "\n"


def _wireguard(interface: Interface) -> Iterator[str]:
    yield "[wireguard]"
    if interface.made_with:
        yield f"# {printable(interface.made_with, 4000)}"
    if interface.forwarding is not None:
        yield f"# {interface.forwarding.in_words}, which NetworkManager"
        yield "# does not set up: take the lines PostUp of the file for wg-quick"
    if interface.private_key is not None:
        yield f"private-key={interface.private_key.reveal()}"
    else:
        hint = f"{interface.key_hint}, or here:" if interface.key_hint else "put it here:"
        yield f"# missing: the private key; {hint}"
        yield "# private-key=..."
    if interface.listen_port is not None:
        yield f"listen-port={interface.listen_port}"
    if interface.mtu is not None:
        yield f"mtu={interface.mtu}"
    if interface.table == "off":
        yield "peer-routes=false"


def _peer(peer: PeerSection) -> Iterator[str]:
    yield from ("", f"[wireguard-peer.{peer.public_key}]")
    if peer.endpoint is not None:
        yield f"endpoint={peer.endpoint}"
    if peer.preshared_key is not None:
        yield f"preshared-key={peer.preshared_key.reveal()}"
        yield "preshared-key-flags=0"
    if peer.persistent_keepalive:
        yield f"persistent-keepalive={peer.persistent_keepalive}"
    if peer.allowed_ips:
        yield f"allowed-ips={''.join(f'{cidr};' for cidr in peer.allowed_ips)}"


def _addresses(interface: Interface, version: int, *, routed: bool) -> Iterator[str]:
    """Yield the section of an IP version; ``routed`` means that peers have networks of it.

    ``method=disabled`` turns IPv6 off for the interface, and the kernel then refuses its routes:
    what they lead to, which can be everything, would go past the tunnel.
    """
    addresses = [cidr for cidr in interface.addresses if cidr.version == version]
    servers = [one for one in interface.dns if not isinstance(one, str) and one.version == version]
    domains = [one for one in interface.dns if isinstance(one, str)]
    yield from ("", f"[ipv{version}]")
    if addresses:
        method = "manual"
    else:
        keeps_routes = version == 6 and routed and interface.table != "off"
        method = "link-local" if keeps_routes else "disabled"
    yield f"method={method}"
    if version == 6 and method != "disabled":
        yield "addr-gen-mode=stable-privacy"
    if addresses:
        yield from (f"address{number}={cidr}" for number, cidr in enumerate(addresses, 1))
        if servers:
            yield f"dns={''.join(f'{server};' for server in servers)}"
        if domains:
            yield f"dns-search={''.join(f'{domain};' for domain in domains)}"
    if interface.table not in (None, "auto", "off"):
        yield f"route-table={interface.table}"


def read_nmconnection(sections: Sequence[IniSection], label: str) -> Configuration:
    """Read the sections of a keyfile. Keys that NetworkManager prompts for are not in it.

    Raises:
        ConfigurationError: a value is wrong; the message calls the file ``label``.
    """
    from kgctl.wireguard.parse import Line, interface_section, peer_section

    lines: list[Line] = []
    peers = []
    for section in sections:
        if section.name == "wireguard":
            lines += _renamed(section, _INTERFACE_KEYS)
        elif section.name in ("ipv4", "ipv6"):
            lines += _read_addresses(section)
        elif section.name.startswith(_PEER_PREFIX):
            key = Line(section.number, "PublicKey", section.name.removeprefix(_PEER_PREFIX))
            own = [key, *_renamed(section, _PEER_KEYS)]
            peers.append(peer_section(section.number, own, label))
    return Configuration(interface_section(lines, label), tuple(peers))


def _renamed(section: IniSection, keys: dict[str, str]) -> Iterator[Line]:
    """Yield the last line of each key, renamed to wg's key."""
    for theirs, name in keys.items():
        line = section.last(theirs)
        if line is not None:
            value = ",".join(part for part in line.value.split(";") if part.strip())
            yield line._replace(key=name, value=value)


def _read_addresses(section: IniSection) -> Iterator[Line]:
    """Yield ``address1=ADDRESS[,GATEWAY]`` and the like, or ``addresses=ADDRESS;...``."""
    for line in section.lines:
        if line.key.startswith("address") and line.key[7:].isdigit():
            yield line._replace(key="Address", value=line.value.partition(",")[0])
        elif line.key in ("address", "addresses"):
            for part in filter(None, line.value.split(";")):
                yield line._replace(key="Address", value=part.partition(",")[0])
