"""Processor time of one round of ``kgctl connect``, and its growth, without changing a host.

The device and the routes are in memory, so the figures are kgctl's own work: up to the first route,
for the whole round, and for the next round, after one node got another pod subnet. Run with
``python -m bench.round [NODES...]``; compare the columns of one run, or the same script in two
checkouts, one after the other.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import time
from typing import TYPE_CHECKING, Any

from kgctl.connect.network import Memory as Known
from kgctl.connect.network import wanted_of
from kgctl.connect.rounds import Parser
from kgctl.connect.synchroniser import Synchroniser
from kgctl.host.links import RouteTable
from kgctl.host.names import Names
from kgctl.kube.objects import NodeObject
from kgctl.state.interface import Objects
from kgctl.wireguard.device import DeviceState, applied
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.host.links import Refused, RouteChange
    from kgctl.wireguard.device import DeviceChange

NOW = 1_769_860_800.0
KILO = "kilo.squat.ai/"


def key(text: str) -> str:
    """Return a public key derived from a text."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def node(number: int, networks: str = "") -> NodeObject:
    """Return the leader of its own location."""
    high, low = divmod(number, 256)
    annotations = {
        "key": key(f"node {number}"),
        "endpoint": f"203.{high}.{low}.1:51820",
        "internal-ip": f"172.16.{high}.{low}/12",
        "wireguard-ip": "10.4.0.1/16",
        "location": f"l{number}",
        "granularity": "location",
        "last-seen": f"{NOW:.0f}",
    }
    if networks:
        annotations["allowed-location-ips"] = networks
    return NodeObject(
        f"n{number}",
        f"10.{100 + high}.{low}.0/24",
        {},
        {KILO + name: value for name, value in annotations.items()},
    )


def cluster(nodes: int, networks: str = "") -> Objects:
    """Return a cluster of leaders and a peer; the first leader claims ``networks``."""
    own: dict[str, Any] = {
        "metadata": {"name": "laptop"},
        "spec": {"allowedIPs": ["10.250.0.1/32"], "publicKey": key("laptop")},
    }
    found = [node(number, "" if number else networks) for number in range(nodes)]
    return Objects(nodes=found, peers=[own], passed_over={})


def annotation(size: int) -> str:
    """Return a list of networks of ``size`` bytes, as one node can write."""
    texts: list[str] = []
    count = length = 0
    while length < size:
        high, low = divmod(count, 256)
        texts.append(f"192.168.{high}.{low}/32" if high < 256 else f"100.64.{high - 256}.{low}/32")
        length += len(texts[-1]) + 1
        count += 1
    return ",".join(texts)


class Memory:
    """A device and routes in memory; ``first`` is the time of the first route."""

    def __init__(self) -> None:
        self.state = DeviceState()
        self.first = 0.0
        self.routes = 0

    def read(self) -> DeviceState:
        """Return the device's state."""
        return self.state

    def apply(self, change: DeviceChange) -> None:
        """Change the device."""
        self.state = applied(self.state, change)


class MemoryRoutes:
    """Routes in memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def read(self) -> RouteTable:
        """Return an empty table."""
        return RouteTable(set(), frozenset())

    def apply(
        self, change: RouteChange, stopped: Callable[[], bool] = lambda: False
    ) -> list[Refused]:
        """Count the routes."""
        self._memory.first = self._memory.first or time.process_time()
        self._memory.routes = max(self._memory.routes, len(change.add))
        return []


def round_of(objects: Objects) -> tuple[float, float, float, int]:
    """Return processor seconds to the first route, of the round and of a change; and the routes."""
    memory, known = Memory(), Known()
    routes = MemoryRoutes(memory)
    synchroniser = Synchroniser(PrivateKey(b"a" * 32), 51820, Names(lambda: None))
    parser = Parser("topology.kubernetes.io/region")
    times = [time.process_time()]
    for whole in (True, False):
        state = parser.state(objects)
        wanted = wanted_of(state, name="laptop", now=NOW, granularity="auto", memory=known)
        synchroniser.apply(wanted, memory, routes, now=NOW, whole=whole)
        times.append(time.process_time())
        changed = objects.nodes[-1]._replace(pod_cidr="10.99.0.0/24")
        objects = objects._replace(nodes=[*objects.nodes[:-1], changed])
    start, end, last = times
    return (memory.first or end) - start, end - start, last - end, memory.routes


def best(run: Callable[[], tuple[float, float, float, int]], times: int = 3) -> tuple[Any, ...]:
    """Return the fastest of a few runs: other work of the machine only adds time."""
    return tuple(min(column) for column in zip(*(run() for _ in range(times)), strict=True))


def main() -> None:
    """Measure, and print one line per cluster."""
    sizes = [int(text) for text in sys.argv[1:]] or [500, 1000, 2000, 5000]
    print("cluster                     to the first route   whole round   a change   routes")
    for nodes in sizes:
        objects = cluster(nodes)
        found = best(lambda objects=objects: round_of(objects))  # type: ignore[misc]
        print(f"{nodes:6} leaders {'':12} {_line(*found)}")
    objects = cluster(10, annotation(255_000))
    print(f"10 leaders, one with 255 kB {_line(*best(lambda: round_of(objects)))}")


def _line(first: float, whole: float, change: float, routes: int) -> str:
    return f"{first:14.2f} s {whole:13.2f} s {change:8.3f} s {routes:8}"


if __name__ == "__main__":
    main()
