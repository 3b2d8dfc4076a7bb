"""The configuration of an outside machine for NetworkManager, as a keyfile.

Keys and sections: nm-settings-keyfile(5), and nm-settings(5), "wireguard setting".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.wireguard.conf import Configuration, Interface, PeerSection

_NAMESPACE = "e7b9e5a8-3f5c-5d0e-9d0b-6a1f0c6f4b51"
"""What the identifiers of our connections are derived within (RFC 9562, section 5.5)."""


def nmconnection_file(configuration: Configuration, name: str, identity: str) -> str:
    """Return the keyfile for an interface called ``name``.

    ``identity`` tells one connection from another: of the same one comes the same UUID, so that
    a new file replaces the old connection.
    """
    from uuid import UUID, uuid5

    interface = configuration.interface
    assert interface is not None
    lines = ["[connection]", f"id={name}", f"uuid={uuid5(UUID(_NAMESPACE), identity)}"]
    lines += ["type=wireguard", f"interface-name={name}", "", *_wireguard(interface)]
    for peer in configuration.peers:
        lines += _peer(peer)
    for version in (4, 6):
        lines += _addresses(interface, version)
    return "\n".join(lines) + "\n"


def _wireguard(interface: Interface) -> Iterator[str]:
    yield "[wireguard]"
    if interface.private_key is not None:
        yield f"private-key={interface.private_key.reveal()}"
    else:
        yield "# missing: the private key; have it filled in with --private-key FILE, or here:"
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


def _addresses(interface: Interface, version: int) -> Iterator[str]:
    addresses = [cidr for cidr in interface.addresses if cidr.version == version]
    servers = [one for one in interface.dns if not isinstance(one, str) and one.version == version]
    domains = [one for one in interface.dns if isinstance(one, str)]
    yield from ("", f"[ipv{version}]")
    if not addresses:
        yield "method=disabled"
        return
    yield "method=manual"
    yield from (f"address{number}={cidr}" for number, cidr in enumerate(addresses, 1))
    if servers:
        yield f"dns={''.join(f'{server};' for server in servers)}"
    if domains:
        yield f"dns-search={''.join(f'{domain};' for domain in domains)}"
    if interface.table not in (None, "auto", "off"):
        yield f"route-table={interface.table}"
