"""How the work beyond reading grows: parsing objects, building the network, printing it.

Timed inside one process, from the objects as a source hands them over to the text of the answer.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.cluster import PEER, peer_object
from kgctl.cluster.interface import NodeObject, Objects
from kgctl.cluster.objects import state_of
from kgctl.mesh.state import network_of
from kgctl.render.dot import to_dot
from kgctl.render.listing import list_nodes
from kgctl.render.table import to_columns
from kgctl.wireguard.configure import peer_configuration
from tests.apiserver.fleet import FOREVER, fleet

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000)
FULL_SIZES = (10, 30, 100, 300, 1000, 2000)
COLLECT_EVERY = 100_000
"""New objects between two looks for garbage, as in ``kgctl.__main__``."""

_REPEATS = 5


@dataclass(frozen=True)
class Point:
    """One measurement: the size, the lines of output, the seconds."""

    nodes: int
    lines: int
    seconds: float


def measure_growth(*, quick: bool) -> dict[str, list[Point]]:
    """Return the points of each line of the plot; the smallest of several runs counts."""
    lines: dict[str, tuple[tuple[int, ...], Callable[[Objects], str]]] = {
        "graph": (SIZES, _graph),
        "graph, full mesh": (FULL_SIZES, _full),
        "showconf peer": (SIZES, _showconf),
        "get nodes": (SIZES, _get_nodes),
    }
    gc.set_threshold(COLLECT_EVERY)
    return {
        name: [_point(nodes, work) for nodes in sizes if not quick or nodes <= 1000]
        for name, (sizes, work) in lines.items()
    }


def slope(points: list[Point]) -> float:
    """Return by which power of nodes plus lines the time grows, to the last from a tenth of it."""
    from math import log

    last = points[-1]
    first = [point for point in points if _size(point) * 10 <= _size(last)][-1]
    return log(last.seconds / first.seconds) / log(_size(last) / _size(first))


def _size(point: Point) -> int:
    return point.nodes + point.lines


def _point(nodes: int, work: Callable[[Objects], str]) -> Point:
    objects = _objects(nodes)
    best, text = 1e9, ""
    for _ in range(_REPEATS):
        gc.collect()
        start = time.perf_counter()
        text = work(objects)
        best = min(best, time.perf_counter() - start)
    return Point(nodes, text.count("\n"), best)


def _objects(count: int) -> Objects:
    """Return a cluster of ``count`` nodes, and a peer for every hundred of them."""
    nodes = [
        NodeObject(
            node["metadata"]["name"],
            node["spec"]["podCIDR"],
            node["metadata"]["labels"],
            node["metadata"]["annotations"],
        )
        for node in fleet(count)
    ]
    return Objects(nodes, [peer_object(number) for number in range(1 + count // 100)], {})


def _graph(objects: Objects) -> str:
    return to_dot(network_of(state_of(objects), now=FOREVER))


def _full(objects: Objects) -> str:
    return to_dot(network_of(state_of(objects), now=FOREVER, granularity="full"))


def _showconf(objects: Objects) -> str:
    topology = network_of(state_of(objects), now=FOREVER)
    return str(peer_configuration(topology, next(p for p in topology.peers if p.name == PEER)))


def _get_nodes(objects: Objects) -> str:
    state = state_of(objects)
    return to_columns(list_nodes(state, network_of(state, now=FOREVER), FOREVER))
