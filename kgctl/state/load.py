"""The functions that read a cluster from Python, one for each source, and their result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from kgctl.kilo import TOPOLOGY_LABEL
from kgctl.mesh.readiness import moment
from kgctl.mesh.state import AUTO, State, network_of
from kgctl.state.objects import state_of

if TYPE_CHECKING:
    from os import PathLike

    from kgctl.mesh.topology import Topology
    from kgctl.state.interface import Source

REQUEST_TIMEOUT = 30.0
"""The default seconds that one request to an API server may take."""


class Cluster(NamedTuple):
    """The nodes and peers of a cluster, and the time that heartbeats are judged by.

    ``now`` is in Unix seconds: when a live cluster was read, or when a snapshot was taken.
    """

    state: State
    now: float

    def topology(
        self, *, granularity: str = AUTO, hostname: str | None = None, acting_leaders: bool = False
    ) -> Topology:
        """Build the network of the ready nodes and peers.

        Args:
            granularity: ``location``, ``full``, or ``auto`` for that of the first ready node.
            hostname: the node whose view of the network is built: the endpoints that it discovered
                go before those of the others. Default: the first ready node.
            acting_leaders: follow the agents where a DNS name makes them choose another leader
                than Kilo's own kgctl does.

        Raises:
            kgctl.MeshError: there is no network; the message says why.
        """
        return network_of(
            self.state,
            now=self.now,
            granularity=granularity,
            hostname=hostname,
            acting_leaders=acting_leaders,
        )


def load_cluster(
    kubeconfig: str | PathLike[str] | None = None,
    context: str | None = None,
    *,
    request_timeout: float | None = REQUEST_TIMEOUT,
    topology_label: str = TOPOLOGY_LABEL,
) -> Cluster:
    """Read a live cluster, once.

    Args:
        kubeconfig: the kubeconfig file; None for the places where kubectl looks.
        context: the context to use; None for the current one.
        request_timeout: seconds that one request may take; None is no limit.
        topology_label: the node label that holds a node's location.

    Raises:
        kgctl.ClusterError: it cannot be read; the message says what to do.
    """
    from kgctl.state.api_server import ApiServer

    path = None if kubeconfig is None else str(kubeconfig)
    server = ApiServer(
        kubeconfig=path, context=context, request_timeout=request_timeout, label=topology_label
    )
    try:
        return _judged(server, topology_label)
    finally:
        server.close()


def load_files(
    *paths: str | PathLike[str],
    at: float | Literal["newest"] | None = None,
    topology_label: str = TOPOLOGY_LABEL,
) -> Cluster:
    """Read manifest files: files and directories of YAML or JSON; ``-`` is standard input.

    Args:
        paths: what to read, in this order; of two objects of one name the later one counts.
        at: the time, in Unix seconds, by which heartbeats are judged; ``"newest"`` is that of the
            newest heartbeat, as suits a file that is older than a minute. Default: now.
        topology_label: the node label that holds a node's location.

    Raises:
        kgctl.ManifestError: a file cannot be read, or holds no Kubernetes objects.
    """
    from kgctl.state.manifests import Manifests

    read = _judged(Manifests([str(path) for path in paths]), topology_label)
    heartbeats = (node.last_seen for node in read.state.nodes)
    return Cluster(read.state, moment(at, heartbeats, read.now))


def load_example() -> Cluster:
    """Read the example cluster that comes with kgctl."""
    from kgctl.state.example import TAKEN_AT, Example

    return _judged(Example(), TOPOLOGY_LABEL)._replace(now=TAKEN_AT)


def _judged(source: Source, topology_label: str) -> Cluster:
    """Return the state of a source, and the time of the read: before parsing, which is slow."""
    objects = source.read()
    now = objects.read_at or time.time()
    return Cluster(state_of(objects, topology_label=topology_label), now)
