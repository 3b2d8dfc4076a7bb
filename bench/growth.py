"""Growth of the work beyond reading: parsing objects, building the network, printing it.

Timed inside one process, from a source's objects to the text of the answer.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.cluster import PEER, peer_object
from kgctl.__main__ import OBJECTS_BETWEEN_COLLECTIONS
from kgctl.kube.objects import NodeObject
from kgctl.mesh.state import network_of
from kgctl.render.graph.dot import to_dot
from kgctl.render.lists.formats import to_columns
from kgctl.render.lists.listing import list_nodes
from kgctl.state.interface import Objects
from kgctl.state.objects import state_of
from kgctl.wireguard.conf import peer_configuration
from tests.apiserver.fleet import FOREVER, fleet

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000)
FULL_SIZES = (10, 30, 100, 300, 1000, 2000)

_REPEATS = 7


@dataclass(frozen=True)
class Point:
    """One measurement: the number of nodes and of lines of output, and the seconds."""

    nodes: int
    lines: int
    seconds: float


def measure_growth(*, quick: bool) -> dict[str, list[Point]]:
    """Return the points of each line of the plot, each the fastest of several runs."""
    lines: dict[str, tuple[tuple[int, ...], Callable[[Objects], str]]] = {
        "graph": (SIZES, _graph),
        "graph, full mesh": (FULL_SIZES, _full),
        "showconf peer": (SIZES, _showconf),
        "get nodes": (SIZES, _get_nodes),
    }
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)  # as for every call
    most = 1000 if quick else max(SIZES)
    clusters = {nodes: _objects(nodes) for nodes in {*SIZES, *FULL_SIZES} if nodes <= most}
    gc.collect()
    gc.freeze()
    return {
        name: _points({nodes: clusters[nodes] for nodes in sizes if nodes in clusters}, work)
        for name, (sizes, work) in lines.items()
    }


def slope(points: list[Point]) -> float:
    """Return the power of nodes plus lines by which the time grows over the last decade."""
    from math import log

    last = points[-1]
    first = [point for point in points if _size(point) * 10 <= _size(last)][-1]
    return log(last.seconds / first.seconds) / log(_size(last) / _size(first))


def _size(point: Point) -> int:
    return point.nodes + point.lines


def _points(clusters: dict[int, Objects], work: Callable[[Objects], str]) -> list[Point]:
    """Measure all sizes in turn, so that a temporarily slow machine is slow for all."""
    best = dict.fromkeys(clusters, 1e9)
    lines = {}
    for _ in range(_REPEATS):
        for nodes, objects in clusters.items():
            gc.collect()
            start = time.perf_counter()
            text = work(objects)
            best[nodes] = min(best[nodes], time.perf_counter() - start)
            lines[nodes] = text.count("\n")
    return [Point(nodes, lines[nodes], best[nodes]) for nodes in clusters]


def _objects(count: int) -> Objects:
    """Return a cluster of ``count`` nodes, with a peer for every hundred nodes."""
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
