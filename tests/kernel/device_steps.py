"""The kernel's WireGuard, set and read by kgctl and by ``wg``. Runs inside a namespace.

    python -m tests.network.kerneldevice

Prints one line per failed step, and nothing else.
"""

from __future__ import annotations

import subprocess
import time
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from kgctl.errors import InterfaceGoneError
from kgctl.host.kernel import KernelDevice
from kgctl.host.links import Links
from kgctl.host.routes import LinkRoutes, route_change
from kgctl.mesh.cidr import Cidr, parse_address, parse_cidr
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import PresharedKey
from kgctl.mesh.routes import Route
from kgctl.wireguard.device import DevicePeer, DeviceState, device_change
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from kgctl.mesh.key import PublicKey

NAME = "kgkernel0"


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


def wanted(count: int, *, more: int = 0, preshared: bool = True) -> DeviceState:
    """A device of so many peers; the first has ``more`` allowed IPs than the others."""
    peers: dict[PublicKey, DevicePeer] = {}
    for number in range(1, count + 1):
        key = PrivateKey(number.to_bytes(2, "little") + bytes([7]) * 30).public_key()
        own = {cidr(f"10.{number // 250}.{number % 250}.0/24"), cidr(f"fd00:{number:x}::/64")}
        if number == 1:
            own |= {cidr(f"172.{16 + one // 256}.{one % 256}.0/24") for one in range(more)}
        ipv4 = Endpoint(IPv4Address(f"192.0.2.{number % 250 + 1}"), 51820)
        secret = PresharedKey(bytes([number % 255 + 1]) * 32)
        peers[key] = DevicePeer(
            public_key=key,
            preshared_key=secret if preshared and number % 3 == 0 else None,
            endpoint=ipv4 if number % 2 else Endpoint(IPv6Address(f"2001:db8::{number:x}"), 4000),
            allowed_ips=frozenset(own),
            persistent_keepalive=25 if number % 2 else 0,
        )
    private = PrivateKey(bytes([8]) + b"b" * 30 + bytes([64]))
    return DeviceState(private_key=private, listen_port=51833, peers=peers)


def check(device: KernelDevice, state: DeviceState, step: str) -> None:
    """Bring the device to ``state``, and compare with what it says then, to us and to wg."""
    device.apply(device_change(device.read(), state, given={}, now=time.time()))
    if device.read() != state:
        print(f"{step}: the device is another than was asked for")
    dump = subprocess.run(["wg", "show", NAME, "dump"], capture_output=True, text=True, check=True)
    seen = {line.split("\t")[0]: line.split("\t")[3] for line in dump.stdout.splitlines()[1:]}
    asked = {str(key): set(map(str, peer.allowed_ips)) for key, peer in state.peers.items()}
    if {key: set(texts.split(",")) for key, texts in seen.items()} != asked:
        print(f"{step}: wg sees other allowed IPs")


def check_routes(links: Links) -> None:
    link = links.find(NAME)
    assert link is not None
    links.configure(link, up=True)
    own = {cidr("10.5.0.1/32"), cidr("fd05::1/128")}
    links.add_addresses(link, own)
    if links.addresses(link) != own:
        print("addresses: others than were given")
    routes = LinkRoutes(link, own)
    for gateway, gateway6 in (("10.4.0.1", "fd04::1"), ("10.4.0.2", "fd04::2")):
        asked = {
            Route(cidr(f"{gateway}/32")),
            Route(cidr("10.42.0.0/24"), parse_address(gateway)),
            Route(cidr("fd43::/64"), parse_address(gateway6)),
        }
        if routes.apply(route_change(routes.read().own, asked)) or routes.read().own != asked:
            print("routes: others than were asked for")


def main() -> None:
    links = Links()
    assert links.create(NAME)
    device = KernelDevice(NAME)
    check(device, wanted(1), "one")
    check(device, wanted(5), "five")
    check(device, wanted(5, more=1500), "more allowed IPs than one message holds")
    check(device, wanted(5, more=3), "fewer allowed IPs")
    check(device, wanted(5, more=3, preshared=False), "no preshared keys")
    check(device, wanted(500, more=300), "more peers than one message holds")
    check(device, wanted(2), "fewer peers")
    check_routes(links)
    link = links.find(NAME)
    assert link is not None
    links.delete(link)
    try:
        device.read()
    except InterfaceGoneError:
        pass
    else:
        print("a device that is gone can still be read")


if __name__ == "__main__":
    main()
