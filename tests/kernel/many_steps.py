"""Many peers on a kernel's device: set and read by kgctl, read by ``wg``. Run in a namespace.

    python -m tests.kernel.many_steps PEERS...

Prints JSON: for each number of peers the seconds that each step took, and what went wrong. More
than ``MOST`` are set by ``wg``, since kgctl sends a message a peer, which takes minutes in an
emulator.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

from kgctl.host.kernel import KernelDevice
from kgctl.host.links import Links
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.key import PublicKey
from kgctl.wireguard.device import DevicePeer, DeviceState, device_change
from kgctl.wireguard.keys import PrivateKey
from tests.kernel.site import DEVICE

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")

MOST = 300
"""Peers that kgctl sets."""

FIRST = 1500
"""Allowed IPs of the first peer: more than one message of the kernel's holds."""


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


def wanted(count: int, *, more: int) -> DeviceState:
    """Return a device of so many peers, two networks each; the first has ``more``."""
    peers: dict[PublicKey, DevicePeer] = {}
    for number in range(count):
        high, low = divmod(number, 250)
        own = {cidr(f"10.{high}.{low}.0/24"), cidr(f"fd00:{number:x}::/64")}
        if number == 0:
            own |= {cidr(f"172.{16 + one // 256}.{one % 256}.0/24") for one in range(more)}
        key = PublicKey(number.to_bytes(4, "big") + bytes([9]) * 28)
        peers[key] = DevicePeer(public_key=key, allowed_ips=frozenset(own))
    private = PrivateKey(bytes([8]) + b"b" * 30 + bytes([64]))
    return DeviceState(private_key=private, listen_port=51833, peers=peers)


def seen_by_wg() -> dict[str, set[str]]:
    shown = subprocess.run(
        ["wg", "show", DEVICE, "allowed-ips"], capture_output=True, text=True, check=True
    )
    rows = (line.split("\t") for line in shown.stdout.splitlines())
    return {key: set(texts.split()) for key, texts in rows}


def set_by_wg(state: DeviceState) -> None:
    assert state.private_key is not None
    lines = [f"[Interface]\nPrivateKey={state.private_key.reveal()}\nListenPort=51833"]
    for key, peer in state.peers.items():
        networks = ",".join(map(str, peer.allowed_ips))
        lines.append(f"[Peer]\nPublicKey={key}\nAllowedIPs={networks}")
    text = "\n".join(lines)
    subprocess.run(["wg", "setconf", DEVICE, "/dev/stdin"], input=text, text=True, check=True)


def timed(step: Callable[[], T]) -> tuple[float, T]:
    start = time.monotonic()
    result = step()
    return round(time.monotonic() - start, 2), result


def measured(count: int) -> dict[str, Any]:
    """Set a device of so many peers, and compare what kgctl and ``wg`` read of it."""
    device, state = KernelDevice(DEVICE), wanted(count, more=FIRST)
    change = device_change(device.read(), state, given={}, now=0.0)
    by_kgctl = count <= MOST
    seconds, _ = timed(lambda: device.apply(change) if by_kgctl else set_by_wg(state))
    own_seconds, read = timed(device.read)
    wg_seconds, shown = timed(seen_by_wg)
    device.close()
    asked = {str(key): set(map(str, one.allowed_ips)) for key, one in state.peers.items()}
    wrong = [name for name, same in (("kgctl", read == state), ("wg", shown == asked)) if not same]
    return {"set": seconds, "read": own_seconds, "wg": wg_seconds, "wrong": wrong}


def main(counts: list[int]) -> None:
    links, found = Links(), {}
    for count in counts:
        assert links.create(DEVICE)
        found[count] = measured(count)
        link = links.find(DEVICE)
        assert link is not None
        links.delete(link)
    print(json.dumps(found))


if __name__ == "__main__":
    main([int(one) for one in sys.argv[1:]])
