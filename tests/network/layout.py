"""A small cluster with cables: three segments, an Internet, and three external machines.

    ams-1 (leader) ─── internet ─── fra-1 (leader)
      │                │ │ │ └───── server
    ams-2     home router │ office router (IPv4 only)
                   │      │        │
                home-1  phone    laptop
                       (IPv6 only)

``home router`` masquerades with nftables, ``office router`` with iptables.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.network import plan, tunnel, wiring
from tests.network.commands import CommandError
from tests.network.probe import serve_web
from tests.network.tunnel import KeyPair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.network.namespace import Lab, Namespace
    from tests.network.plan import Inside, NodePlan

UPLINK = "uplink"
"""The device towards the Internet, of every machine that has one."""
LAN = "lan"
"""The device towards the private network of a location."""


class SmallCluster:
    """The layout, with keys for everybody, and no tunnel yet."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.keys = {who.name: KeyPair.generate() for who in (*plan.NODES, *plan.MACHINES)}
        self.internet = lab.add("internet")
        wiring.forward(self.internet)
        wiring.assign(self.internet, "lo", f"{plan.WEB_IPV4}/32", f"{plan.WEB_IPV6}/128")
        serve_web(lab, self.internet)
        self._wire_amsterdam()
        self._attach("fra-1", "203.0.113.20/24", "2001:db8:20::20/64")
        self._wire_home()
        self._wire_office()
        self._attach("phone", "2001:db8:50::50/64")
        self._attach("server", "198.19.60.60/24", "2001:db8:60::60/64")
        for node in plan.NODES:
            self._make_node(node)

    def __getitem__(self, name: str) -> Namespace:
        """Return the namespace of a node, a machine or a router."""
        return self.lab.namespaces[name]

    def lead(self, node: NodePlan, config: str, inside: Inside = "ipv4") -> None:
        """Configure a leader from what ``kgctl showconf node`` prints, and its followers' routes.

        Raises:
            CommandError: a tool refused; or the node is no leader.
        """
        addresses = node.inside(inside)
        if addresses.wireguard is None:
            msg = f"{node.name} is no leader of this layout"
            raise CommandError(msg)
        namespace = self[node.name]
        tunnel.configure(namespace, config, self.keys[node.name].private, addresses.wireguard)
        for follower in plan.NODES:
            if follower.location == node.location and not follower.leader:
                tunnel.follow(self[follower.name], namespace, _gateways(node))

    @contextmanager
    def service(self, node: NodePlan, address: str) -> Iterator[None]:
        """A while in which a node answers at an address of the service network."""
        namespace = self[node.name]
        wiring.assign(namespace, "lo", f"{address}/32")
        try:
            yield
        finally:
            namespace.ip("address", "delete", f"{address}/32", "dev", "lo")

    def reset(self) -> None:
        """Take down every tunnel; cables, addresses and keys stay."""
        for namespace in self.lab.namespaces.values():
            devices = namespace.run("wg", "show", "interfaces").stdout.split()
            for device in devices:
                self._take_down(namespace, device)
            tunnel.clear_routes(namespace)

    def describe(self) -> str:
        """Return what every tunnel does and where every packet goes, for who looks into it."""
        return "\n".join(
            f"--- {label} ---\n"
            + namespace.run("wg", "show").stdout
            + namespace.ip("-4", "route")
            + namespace.ip("-6", "route")
            for label, namespace in self.lab.namespaces.items()
        )

    def _take_down(self, namespace: Namespace, device: str) -> None:
        if (namespace.directory / f"{device}.conf").exists():
            tunnel.leave(namespace, device)
        else:
            tunnel.remove(namespace, device)

    def _attach(self, label: str, *addresses: str) -> Namespace:
        """Connect a machine to the Internet, at ``addresses``; the router's end has host 1."""
        namespace = self.lab.add(label, plan.HOSTS)
        wiring.connect(namespace, UPLINK, self.internet, label)
        wiring.assign(namespace, UPLINK, *addresses)
        gateways = [_first_host(address) for address in addresses]
        wiring.assign(self.internet, label, *gateways)
        wiring.default_routes(namespace, *(gateway.split("/")[0] for gateway in gateways))
        return namespace

    def _wire_amsterdam(self) -> None:
        leader = self._attach("ams-1", "198.51.100.10/24", "2001:db8:10::10/64")
        follower = self.lab.add("ams-2", plan.HOSTS)
        wiring.connect(leader, LAN, follower, LAN)
        wiring.assign(leader, LAN, "10.10.0.1/24", "fd10:10::1/64")
        wiring.assign(follower, LAN, "10.10.0.2/24", "fd10:10::2/64")
        wiring.default_routes(follower, "10.10.0.1", "fd10:10::1")
        # Within a location each node reaches the other's pods by its internal IP.
        for namespace, other in ((leader, plan.AMS_2), (follower, plan.AMS_1)):
            for addresses in (other.ipv4, other.ipv6):
                via = str(addresses.internal.ip)
                namespace.ip("route", "add", str(addresses.pod_subnet), "via", via)

    def _wire_home(self) -> None:
        router = self._attach("home-router", "198.18.30.30/24", "2001:db8:30::30/64")
        wiring.home_router(router, UPLINK, "nftables")
        node = self.lab.add("home-1", plan.HOSTS)
        wiring.connect(node, UPLINK, router, LAN)
        wiring.assign(router, LAN, "192.168.77.1/24", "2001:db8:31::1/64", "fd10:77::1/64")
        wiring.assign(node, UPLINK, "192.168.77.10/24", "2001:db8:31::10/64", "fd10:77::10/64")
        wiring.default_routes(node, "192.168.77.1", "2001:db8:31::1")
        self.internet.ip("route", "add", "2001:db8:31::/64", "via", "2001:db8:30::30")

    def _wire_office(self) -> None:
        router = self._attach("office-router", "198.18.40.40/24")
        wiring.home_router(router, UPLINK, "iptables")
        laptop = self.lab.add("laptop", plan.HOSTS)
        wiring.connect(laptop, UPLINK, router, LAN)
        wiring.assign(router, LAN, "192.168.88.1/24")
        wiring.assign(laptop, UPLINK, "192.168.88.10/24")
        wiring.default_routes(laptop, "192.168.88.1")

    def _make_node(self, node: NodePlan) -> None:
        """Give a node its pods, and what Kubernetes and Kilo's agent set up on every node."""
        namespace = self[node.name]
        wiring.forward(namespace)
        for addresses in (node.ipv4, node.ipv6):
            length = addresses.pod_subnet.prefixlen
            first = f"{addresses.pod_subnet[1]}/{length}"
            bridge = [first, f"{addresses.pod}/{length}"]
            if addresses is node.ipv4:
                wiring.bridge(namespace, "kube-bridge", *bridge)
            else:
                wiring.assign(namespace, "kube-bridge", *bridge)
        if node is plan.FRA_1:  # alone on its private network
            private = (str(node.ipv4.internal), str(node.ipv6.internal))
            wiring.bridge(namespace, LAN, *private)
        if node.leader:
            wiring.masquerade(namespace, UPLINK, plan.INSIDE_IPV4, plan.INSIDE_IPV6)


def _first_host(address: str) -> str:
    """Return the first address of a network, with its prefix: where the router stands."""
    host, _, prefix = address.partition("/")
    separator = "::" if ":" in host else "."
    network = host.rpartition(separator)[0]
    return f"{network}{separator}1/{prefix}"


def _gateways(node: NodePlan) -> dict[int, str]:
    return {4: str(node.ipv4.internal.ip), 6: str(node.ipv6.internal.ip)}
