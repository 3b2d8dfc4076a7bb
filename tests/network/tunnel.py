"""WireGuard devices in namespaces: keys, joining, and nodes configured as by Kilo's agent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from typing import TYPE_CHECKING

from tests.network.commands import CommandError, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv4Interface, IPv6Interface

    from tests.network.namespace import Namespace

KILO = "kilo0"
"""The device of a Kilo node."""
MTU = 1420
KILO_ROUTES = ("proto", "static")
"""Marks the routes that stand for Kilo's own, so that they can be replaced as a whole."""


@dataclass(frozen=True)
class KeyPair:
    """A key pair as ``wg genkey`` and ``wg pubkey`` make it, in base64."""

    private: str
    public: str

    @classmethod
    def generate(cls) -> KeyPair:
        """Return a new pair."""
        private = run(["wg", "genkey"]).stdout.strip()
        return cls(private, run(["wg", "pubkey"], stdin=private).stdout.strip())


def preshared_key() -> str:
    """Return a new preshared key, in base64."""
    return run(["wg", "genpsk"]).stdout.strip()


@dataclass(frozen=True)
class PeerState:
    """What a device knows about one peer: a line of ``wg show DEVICE dump``."""

    public_key: str
    preshared_key: str | None
    endpoint: str | None
    """``host:port`` that the next packet goes to: configured, or learned from the last one."""
    allowed_ips: tuple[IPv4Network | IPv6Network, ...]
    latest_handshake: int
    """Unix seconds; 0 = never."""
    received: int
    sent: int
    keepalive: int
    """Seconds; 0 = off."""

    @property
    def handshake_age(self) -> float | None:
        """Seconds since the last handshake; None = there was none."""
        return time.time() - self.latest_handshake if self.latest_handshake else None


def dump(namespace: Namespace, device: str = KILO) -> dict[str, PeerState]:
    """Return what a device knows about its peers, by public key."""
    lines = namespace.run("wg", "show", device, "dump").stdout.splitlines()
    states = [_peer_state(line.split("\t")) for line in lines[1:]]
    return {state.public_key: state for state in states}


def _peer_state(fields: list[str]) -> PeerState:
    public, preshared, endpoint, allowed, handshake, received, sent, keepalive = fields
    networks = [] if allowed == "(none)" else allowed.split(",")
    return PeerState(
        public_key=public,
        preshared_key=None if preshared == "(none)" else preshared,
        endpoint=None if endpoint == "(none)" else endpoint,
        allowed_ips=tuple(ip_network(network) for network in networks),
        latest_handshake=int(handshake),
        received=int(received),
        sent=int(sent),
        keepalive=0 if keepalive == "off" else int(keepalive),
    )


def exists(namespace: Namespace, device: str = KILO) -> bool:
    """Tell whether the namespace has the device."""
    return namespace.run("ip", "link", "show", "dev", device, check=False).returncode == 0


def remove(namespace: Namespace, device: str = KILO) -> None:
    """Delete the device, and with it its routes; nothing happens when there is none."""
    if exists(namespace, device):
        namespace.ip("link", "delete", "dev", device)


def configure(
    namespace: Namespace, config: str, private_key: str, address: IPv4Interface | IPv6Interface
) -> None:
    """Make a node a leader, as Kilo's agent does: device, configuration, address, routes.

    ``config`` is what ``kgctl showconf node`` prints; no private key is in it, so it goes in
    here. Of a device that is there, only what changes is touched, as the agent does it: the
    sessions of everybody else go on. ``address`` is the node's WireGuard IP with the prefix of
    the Kilo subnet.
    """
    set_device(namespace, config, private_key, address)
    _set_routes(namespace, leader_routes(dump(namespace).values(), address))


def set_device(
    namespace: Namespace, config: str, private_key: str, address: IPv4Interface | IPv6Interface
) -> None:
    """Set up the device of a leader as :func:`configure` does, without any route."""
    how = "syncconf"
    if not exists(namespace):
        _create(namespace)
        how = "setconf"
    keyed = config.replace("[Interface]\n", f"[Interface]\nPrivateKey = {private_key}\n", 1)
    if keyed == config:
        msg = f"no [Interface] section to put {namespace.label}'s key into:\n{config}"
        raise CommandError(msg)
    namespace.run("wg", how, KILO, "/dev/stdin", stdin=keyed)
    namespace.ip("address", "flush", "dev", KILO)
    namespace.ip("link", "set", KILO, "mtu", str(MTU), "up")
    nodad = ["nodad"] if address.version == 6 else []
    namespace.ip("address", "add", str(address), "dev", KILO, *nodad)


def _create(namespace: Namespace) -> None:
    """Create the device in the kernel, or (as wg-quick does) in userspace where it cannot."""
    if namespace.run("ip", "link", "add", KILO, "type", "wireguard", check=False).returncode:
        namespace.run("wireguard-go", KILO)


Route = tuple[str, ...]
"""The words after ``ip route replace``."""


def leader_routes(
    peers: Iterable[PeerState], address: IPv4Interface | IPv6Interface
) -> Iterable[Route]:
    """Return the routes of a leader: a segment's networks go via its WireGuard IP.

    A peer that has an address in the Kilo subnet is another segment; any other is an outside
    machine, whose networks go straight to the device. (Kilo, pkg/mesh/routes.go.)
    """
    for peer in peers:
        via: list[str] = []
        for network in peer.allowed_ips:
            if network.version == address.version and network.network_address in address.network:
                via = ["via", str(network.network_address)]
        for network in peer.allowed_ips:
            same_family = network.version == address.version
            gateway = [*via, "dev", KILO, "onlink"] if via and same_family else ["dev", KILO]
            if network.network_address not in address.network:
                yield (str(network), *gateway)


def follow(follower: Namespace, leader: Namespace, gateways: Mapping[int, str]) -> None:
    """Send all that a leader reaches through the network to the leader, as followers do.

    ``gateways`` are the leader's internal addresses, by IP version.
    """
    networks = {network for peer in dump(leader).values() for network in peer.allowed_ips}
    routes = [(str(network), "via", gateways[network.version]) for network in networks]
    _set_routes(follower, routes)


def _set_routes(namespace: Namespace, routes: Iterable[Route]) -> None:
    clear_routes(namespace)
    for route in routes:
        namespace.ip("route", "replace", *route, *KILO_ROUTES)


def clear_routes(namespace: Namespace) -> None:
    """Remove the routes that :func:`configure` and :func:`follow` set."""
    for family in ("-4", "-6"):
        namespace.ip(family, "route", "flush", *KILO_ROUTES)


def join(namespace: Namespace, config: str, device: str = "kgctl") -> str:
    """Join with nothing but a file: ``wg-quick up FILE``. Return what wg-quick said."""
    path = namespace.write(f"{device}.conf", config)
    return namespace.run("wg-quick", "up", str(path)).stderr


def leave(namespace: Namespace, device: str = "kgctl") -> str:
    """Leave again: ``wg-quick down FILE``. Return what wg-quick said."""
    return namespace.run("wg-quick", "down", str(namespace.directory / f"{device}.conf")).stderr


def interface_address(namespace: Namespace, device: str) -> list[IPv4Interface | IPv6Interface]:
    """Return the addresses of a device, link-local ones left out."""
    lines = namespace.ip("-oneline", "address", "show", "dev", device, "scope", "global")
    return [ip_interface(line.split()[3]) for line in lines.splitlines()]
