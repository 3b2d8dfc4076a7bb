"""Writer and reader of systemd-networkd's .netdev and .network files for an outside machine.

Keys and sections: systemd.netdev(5), "[WireGuard] Section Options", and systemd.network(5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.text import printable
from kgctl.wireguard.conf import Configuration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.wireguard.conf import Interface, PeerSection
    from kgctl.wireguard.forwarding import Forwarding
    from kgctl.wireguard.parse import IniSection, Line

_PEER_KEYS = ("PublicKey", "PresharedKey", "Endpoint", "PersistentKeepalive")

_MARK = 51820
"""The firewall mark and routing table if all traffic goes through the tunnel."""


def networkd_files(configuration: Configuration, name: str) -> dict[str, str]:
    """Return the two files, by name, for an interface called ``name``."""
    interface = configuration.interface
    assert interface is not None
    everything = any(cidr.prefix == 0 for peer in configuration.peers for cidr in peer.allowed_ips)
    netdev = [*_netdev(interface, name, everything)]
    for peer in configuration.peers:
        netdev += _peer(peer)
    network = _network(interface, name, everything)
    return {
        f"{name}.netdev": "\n".join(netdev) + "\n",
        f"{name}.network": "\n".join(network) + "\n",
    }


def _netdev(interface: Interface, name: str, everything: bool) -> Iterator[str]:
    yield from ("[NetDev]", f"Name={name}", "Kind=wireguard")
    if interface.mtu is not None:
        yield f"MTUBytes={interface.mtu}"
    yield from ("", "[WireGuard]")
    yield from (f"# {printable(comment, 400)}" for comment in interface.comments)
    if interface.made_with:
        yield f"# {printable(interface.made_with, 4000)}"
    if interface.private_key is not None:
        yield f"PrivateKey={interface.private_key.reveal()}"
    if interface.listen_port is not None:
        yield f"ListenPort={interface.listen_port}"
    if everything:
        yield f"FirewallMark={_MARK}"
    yield f"RouteTable={_table(interface, everything)}"


def _table(interface: Interface, everything: bool) -> str:
    if interface.table in (None, "auto"):
        return str(_MARK) if everything else "main"
    return str(interface.table)


def _peer(peer: PeerSection) -> Iterator[str]:
    yield from ("", "[WireGuardPeer]")
    yield from (f"# {printable(comment, 400)}" for comment in peer.comments)
    yield f"PublicKey={peer.public_key}"
    if peer.preshared_key is not None:
        yield f"PresharedKey={peer.preshared_key.reveal()}"
    if peer.allowed_ips:
        yield f"AllowedIPs={','.join(map(str, peer.allowed_ips))}"
    if peer.endpoint is not None:
        yield f"Endpoint={peer.endpoint}"
    if peer.persistent_keepalive:
        yield f"PersistentKeepalive={peer.persistent_keepalive}"


def _network(interface: Interface, name: str, everything: bool) -> Iterator[str]:
    yield from ("[Match]", f"Name={name}", "", "[Network]")
    yield from (f"Address={address}" for address in interface.addresses)
    domains = [entry for entry in interface.dns if isinstance(entry, str)]
    yield from (f"DNS={entry}" for entry in interface.dns if not isinstance(entry, str))
    if domains:
        yield f"Domains={' '.join(domains)}"
    if interface.forwarding is not None:
        yield f"# {interface.forwarding.in_words}:"
        yield from _forwarding(interface.forwarding)
    if everything and interface.table in (None, "auto"):
        yield from ("", "[RoutingPolicyRule]", "Family=both", "Table=main")
        yield from ("SuppressPrefixLength=0", "Priority=9")
        yield from ("", "[RoutingPolicyRule]", "Family=both", f"FirewallMark={_MARK}")
        yield from ("InvertRule=true", f"Table={_MARK}", "Priority=10")


def _forwarding(forwarding: Forwarding) -> Iterator[str]:
    """Yield the settings of the interface; ``IPForward=`` sets forwarding for all of them.

    Since version 256, ``IPv4Forwarding=`` and ``IPv6Forwarding=`` set it for this one; older ones
    pass over these, with a warning, and newer ones over the first.
    """
    routed, relayed = forwarding.routed, forwarding.relayed
    if routed:
        yield f"IPMasquerade={_both(routed)}"
    if relayed:
        value = {"both": "yes"}.get(_both(relayed), _both(relayed))
        yield f"IPForward={value}"
        yield from (f"IPv{version}Forwarding=yes" for version in relayed)


def _both(versions: Sequence[int]) -> str:
    return "both" if len(versions) > 1 else f"ipv{versions[0]}"


def read_networkd(sections: Sequence[IniSection], label: str) -> Configuration:
    """Read the sections of a .netdev file, and of a .network file if they are included.

    Keys in separate files (``PrivateKeyFile=``) are not read.

    Raises:
        ConfigurationError: a value is wrong; the message calls the file ``label``.
    """
    from kgctl.wireguard.parse import interface_section, peer_section

    lines: list[Line] = []
    for section in sections:
        if section.name == "WireGuard":
            lines += _last(section, ("PrivateKey", "ListenPort"))
        elif section.name in ("Network", "Address"):
            lines += section.values("Address")
    peers = []
    for section in sections:
        if section.name == "WireGuardPeer":
            own = [*_last(section, _PEER_KEYS), *section.values("AllowedIPs")]
            peers.append(peer_section(section.number, own, label))
    return Configuration(interface_section(lines, label), tuple(peers))


def _last(section: IniSection, keys: Sequence[str]) -> Iterator[Line]:
    """Yield the last line of each key, except values that are elsewhere (``@NAME``, ``auto``)."""
    for key in keys:
        line = section.last(key)
        if line is not None and not line.value.startswith("@") and line.value != "auto":
            yield line
