"""The bundled example: a small company's cluster, to try every command on without one.

Five places that differ in what a Kilo network has to cope with: two clouds whose nodes are placed
by their region label, a hosted server known by a DNS name, an edge node that has only IPv6, and a
home behind NAT. Two nodes are not ready, one Peer is invalid. Addresses and names are those
set aside for documentation (RFC 5737, RFC 3849, RFC 2606) and benchmarks (RFC 2544).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kgctl.state.manifests import Manifests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.state.interface import Kind, Objects

TAKEN_AT: float = 1769860800.0
"""When the snapshot was taken, in Unix seconds (2026-01-31T12:00:00Z): heartbeats count from it."""

_FILE = Path(__file__).with_name("cluster.json")


class Example:
    """The source of the bundled example cluster: a file of this package."""

    def __init__(self) -> None:
        self._manifests = Manifests([str(_FILE)])

    def read(self) -> Objects:
        """Read the example's eleven nodes and four peers."""
        return self._manifests.read()

    def names(self, kind: Kind) -> Sequence[str]:
        """Return the names of all nodes or peers of the example."""
        return self._manifests.names(kind)
