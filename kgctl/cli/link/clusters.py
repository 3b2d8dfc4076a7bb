"""The clusters that a command line names, read, and ready to be changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.arguments import UsageError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.cli.shared import Shared
    from kgctl.cluster.apiserver import ApiServer
    from kgctl.cluster.interface import Objects, Source
    from kgctl.cluster.mirror import Mirror
    from kgctl.cluster.peers import PeerObjects
    from kgctl.cluster.secrets import SecretObjects
    from kgctl.cluster.servicecidr import ServiceNetworks
    from kgctl.cluster.services import ServiceObjects
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.linking import Member

_FEWEST = 2


class Named(NamedTuple):
    """A cluster of the command line: its name, and where it is read from.

    Where there is a ``copy`` that is kept up to date, it is read from that, once it is there.
    """

    name: str
    source: Source
    copy: Mirror | None = None

    def read(self) -> tuple[Objects, float]:
        """Return what it holds, and as of when (Unix seconds).

        Nodes of a copy are judged as of when the API server was last heard: its absence makes
        none of them old.

        Raises:
            KgctlError: it cannot be read.
        """
        objects = None if self.copy is None else self.copy.read()
        if self.copy is None or objects is None:
            return self.source.read(), time.time()
        return objects, self.copy.heard

    @property
    def live(self) -> bool:
        """Whether it is a cluster, and not files that stand for one."""
        from kgctl.cluster.apiserver import ApiServer

        return isinstance(self.source, ApiServer)

    def store(self) -> PeerObjects:
        """Return its Peer objects, to be changed.

        Raises:
            UsageError: it is no live cluster.
        """
        return self._server(
            "which link does not change: write manifests with --directory DIR, or look with "
            "--dry-run"
        ).peers()

    def secrets(self, namespace: str) -> SecretObjects:
        """Return its Secrets of a namespace.

        Raises:
            UsageError: it is no live cluster.
        """
        from kgctl.cluster.secrets import SecretObjects

        server = self._server("which keep no preshared keys: name a file for each of its pairs")
        return SecretObjects(server.api(), namespace)

    def services(self) -> ServiceObjects:
        """Return its Services and EndpointSlices.

        Raises:
            UsageError: it is no live cluster.
        """
        from kgctl.cluster.services import ServiceObjects

        return ServiceObjects(self._server("which have no services").api())

    def service_networks(self) -> ServiceNetworks | None:
        """Return the networks of its services, where it tells them.

        Raises:
            KgctlError: it cannot be read.
        """
        from kgctl.cluster.servicecidr import read_service_networks

        return read_service_networks(self._server("which tell none").api()) if self.live else None

    def _server(self, but: str) -> ApiServer:
        from kgctl.cluster.apiserver import ApiServer

        if not isinstance(self.source, ApiServer):
            raise UsageError(f"{printable(self.name)} was read from files, {but}")
        return self.source


class Read(NamedTuple):
    """A cluster as it was read."""

    named: Named
    objects: Objects
    member: Member


def named_clusters(shared: Shared, arguments: Sequence[str]) -> list[Named]:
    """Return the clusters that arguments name: ``[NAME=]CONTEXT``, ``[NAME=]FILE``.

    A file is a kubeconfig, whose current context counts, or manifests; anything else is a
    context.

    Raises:
        UsageError: there are fewer than two, or two of one name.
        KgctlError: one cannot be read.
    """
    if shared.filename or shared.example or shared.contexts or shared.named:
        raise UsageError(
            "link takes clusters as arguments, not --context, --cluster, --filename or --example"
        )
    found = [_named(shared, argument) for argument in arguments]
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f'two clusters are called "{printable(twice)}"; name them: NAME=CLUSTER')
    if len(found) < _FEWEST:
        raise UsageError("give two clusters or more: contexts, kubeconfigs or manifest files")
    return found


def _named(shared: Shared, argument: str) -> Named:
    from kgctl.cli.clusters import cluster_of
    from kgctl.cli.reading import live_cluster
    from kgctl.cluster.manifests import Manifests

    one = cluster_of(shared, argument)
    files = one.shared.filename
    return Named(one.name, Manifests(files) if files else live_cluster(one.shared))


def read_all(
    shared: Shared, clusters: Sequence[Named], service_cidrs: Mapping[str, tuple[Cidr, ...]]
) -> list[Read]:
    """Read every cluster, and build its network.

    Raises:
        KgctlError: one cannot be read, or has no network; the message says which.
    """
    return [_read(shared, one, service_cidrs.get(one.name, ())) for one in clusters]


def _read(shared: Shared, named: Named, service_cidrs: tuple[Cidr, ...]) -> Read:
    from kgctl.cli.reading import reading_of
    from kgctl.link.plan import links_of
    from kgctl.mesh.errors import MeshError
    from kgctl.mesh.linking import Member

    objects, now = named.read()
    reading = reading_of(shared, objects, now)
    try:
        topology = reading.topology()
    except MeshError as error:
        raise type(error)(f"{printable(named.name)}: {error}") from None
    links = links_of(objects.peers)
    return Read(named, objects, Member(named.name, reading.state, topology, service_cidrs, links))


def service_networks(
    values: Sequence[str] | None, clusters: Sequence[Named]
) -> dict[str, tuple[Cidr, ...]]:
    """Return the service networks by cluster, from ``CLUSTER=CIDR[,CIDR]``.

    Raises:
        UsageError: one is written otherwise, or names no cluster of the command line.
    """
    from kgctl.cli.clusters import networks_of_clusters

    return networks_of_clusters(values, [one.name for one in clusters])
