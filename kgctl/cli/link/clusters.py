"""The clusters that a command line names, read, and ready to be changed."""

from __future__ import annotations

import time
from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from kgctl.kilo import PREFIX
from kgctl.mesh.errors import InputError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kgctl.cli.shared import Shared
    from kgctl.kube.secrets import SecretObjects
    from kgctl.kube.service_cidr import ServiceNetworks
    from kgctl.kube.services import ServiceObjects
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.linked import Link
    from kgctl.mesh.linking import Member
    from kgctl.state.api_server import ApiServer
    from kgctl.state.informer import ClusterInformer
    from kgctl.state.interface import Objects, Source
    from kgctl.state.peers import PeerObjects

_FEWEST = 2
_KEY = f"{PREFIX}key"


class Named(NamedTuple):
    """A cluster of the command line: its name, and where it is read from.

    Where there is a ``copy`` that is kept up to date, it is read from that, once it is there.
    """

    name: str
    source: Source
    copy: ClusterInformer | None = None

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
        from kgctl.state.api_server import ApiServer

        return isinstance(self.source, ApiServer)

    def store(self) -> PeerObjects:
        """Return its Peer objects, to be changed.

        Raises:
            InputError: it is no live cluster.
        """
        return self._server(
            "which link does not change: write manifests with --directory DIR, or look with "
            "--dry-run"
        ).peers()

    def secrets(self, namespace: str) -> SecretObjects:
        """Return its Secrets of a namespace.

        Raises:
            InputError: it is no live cluster.
        """
        from kgctl.kube.secrets import SecretObjects

        server = self._server("which keep no preshared keys: name a file for each of its pairs")
        return SecretObjects(server.api(), namespace)

    def services(self) -> ServiceObjects:
        """Return its Services and EndpointSlices.

        Raises:
            InputError: it is no live cluster.
        """
        from kgctl.kube.services import ServiceObjects

        return ServiceObjects(self._server("which have no services").api())

    def service_networks(self) -> ServiceNetworks | None:
        """Return the networks of its services, where it tells them.

        Raises:
            KgctlError: it cannot be read.
        """
        from kgctl.kube.service_cidr import read_service_networks

        return read_service_networks(self._server("which tell none").api()) if self.live else None

    def _server(self, but: str) -> ApiServer:
        from kgctl.state.api_server import ApiServer

        if not isinstance(self.source, ApiServer):
            raise InputError(f"{printable(self.name)} was read from files, {but}")
        return self.source


class Read(NamedTuple):
    """A cluster as it was read; ``links`` are its Peers that stand for segments of the others."""

    named: Named
    objects: Objects
    member: Member
    links: tuple[Link, ...] = ()


def named_clusters(shared: Shared, arguments: Sequence[str]) -> list[Named]:
    """Return the clusters that arguments name: ``[NAME=]CONTEXT``, ``[NAME=]FILE``.

    A file is a kubeconfig, whose current context counts, or manifests; anything else is a
    context.

    Raises:
        InputError: there are fewer than two, or two of one name.
        KgctlError: one cannot be read.
    """
    if shared.filename or shared.example or shared.contexts or shared.named:
        raise InputError(
            "link takes clusters as arguments, not --context, --cluster, --filename or --example"
        )
    found = [_named(shared, argument) for argument in arguments]
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f'two clusters are called "{printable(twice)}"; name them: NAME=CLUSTER')
    if len(found) < _FEWEST:
        raise InputError("give two clusters or more: contexts, kubeconfigs or manifest files")
    return found


def _named(shared: Shared, argument: str) -> Named:
    from kgctl.cli.clusters import cluster_of
    from kgctl.cli.reading import live_cluster
    from kgctl.state.manifests import Manifests

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
    reads = [_read(shared, one, service_cidrs.get(one.name, ())) for one in clusters]
    refuse_one_twice([(read.member.name, read.objects) for read in reads])
    return _linked(reads)


def refuse_one_twice(clusters: Sequence[tuple[str, Objects]]) -> None:
    """Make sure that no two of the clusters are one, as the names and keys of their nodes tell.

    Raises:
        InputError: two are.
    """
    owners: dict[tuple[str, str], list[int]] = {}
    sizes = []
    for number, (_, objects) in enumerate(clusters):
        nodes = {(node.name, node.annotations.get(_KEY, "")) for node in objects.nodes}
        known = {node for node in nodes if node[1]}
        sizes.append(len(known))
        for node in known:
            owners.setdefault(node, []).append(number)
    shared = Counter(pair for found in owners.values() for pair in combinations(found, 2))
    for one, other in sorted(shared):
        if shared[one, other] < min(sizes[one], sizes[other]):
            continue
        names = printable(clusters[one][0]), printable(clusters[other][0])
        raise InputError(
            f"{names[0]} and {names[1]} are one cluster: their nodes have the same names and keys; "
            "give two clusters"
        )


def _linked(reads: Sequence[Read]) -> list[Read]:
    """Return the clusters with what links them already, whoever made it."""
    from kgctl.cli.clusters import link_labels
    from kgctl.mesh.linked import linked

    labels = link_labels({read.member.name: read.objects.peers for read in reads})
    found = linked([read.member for read in reads], labels)
    links: dict[str, list[Link]] = {}
    for link in found.links:
        links.setdefault(link.holder, []).append(link)
    dialled = _dialled(reads, found.links)
    complete = []
    for read in reads:
        name = read.member.name
        own = tuple(links.get(name, ()))
        member = read.member._replace(
            links=read.member.links | {link.peer.name for link in own},
            dialled=frozenset(dialled.get(name, ())),
        )
        complete.append(read._replace(member=member, links=own))
    return complete


def _dialled(reads: Sequence[Read], links: Iterable[Link]) -> dict[str, set[str]]:
    """Return the segments, by cluster, for which a person gave others a public endpoint."""
    from kgctl.link.adoption import adopted_as
    from kgctl.mesh.dialling import is_dialable_from_elsewhere
    from kgctl.state.peer_objects import peer_name

    adopted = {
        (read.member.name, peer_name(peer))
        for read in reads
        for peer in read.objects.peers
        if adopted_as(peer)
    }
    found: dict[str, set[str]] = {}
    for link in links:
        endpoint = link.peer.annotated_endpoint
        of_person = not link.is_kept or (link.holder, link.peer.name) in adopted
        if link.segment and of_person and is_dialable_from_elsewhere(endpoint):
            found.setdefault(link.source, set()).add(link.segment.name)
    return found


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
        InputError: one is written otherwise, or names no cluster of the command line.
    """
    from kgctl.cli.clusters import networks_of_clusters

    return networks_of_clusters(values, [one.name for one in clusters])
