"""The bundled example cluster of a small company, to try every command without a cluster.

It has five places with typical conditions of a Kilo network: two clouds whose nodes have a region
label, a hosted server with a DNS name as endpoint, an edge node with only IPv6, and a home behind
NAT. Two nodes are not ready, and one Peer is invalid. Addresses and names are those reserved for
documentation (RFC 5737, RFC 3849, RFC 2606) and benchmarks (RFC 2544).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kgctl.state.manifests import Manifests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.state.interface import Kind, Objects

TAKEN_AT: float = 1769860800.0
"""The time of the snapshot in Unix seconds (2026-01-31T12:00:00Z), to judge heartbeats by."""

_FILE = Path(__file__).with_name("cluster.json")


class Example:
    """The source that reads the bundled example cluster, a file of this package."""

    def __init__(self) -> None:
        self._manifests = Manifests([str(_FILE)])

    def read(self) -> Objects:
        """Read the example's eleven nodes and four peers."""
        return self._manifests.read()

    def names(self, kind: Kind) -> Sequence[str]:
        """Return the names of all nodes or peers of the example."""
        return self._manifests.names(kind)
