"""The clusters that are to be linked: where each is read from, and what it holds."""

from __future__ import annotations

import time
from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import InputError, MeshError
from kgctl.kilo import KEY
from kgctl.kube.services import ServiceObjects, read_service_networks
from kgctl.kube.stored import SecretObjects
from kgctl.link.foreign_links import adopted_as
from kgctl.link.peers import link_labels, linked_source, links_of, slug
from kgctl.mesh.dialling import is_dialable_from_elsewhere
from kgctl.mesh.linked import linked
from kgctl.mesh.linking import EVERYTHING, Member
from kgctl.mesh.readiness import moment
from kgctl.mesh.state import network_of
from kgctl.mesh.state import unbuilt as unbuilt_network
from kgctl.mesh.text import printable
from kgctl.state.api_server import ApiServer
from kgctl.state.load import REQUEST_TIMEOUT
from kgctl.state.manifests import Manifests
from kgctl.state.objects import state_of
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from os import PathLike

    from kgctl.kube.services import ServiceNetworks
    from kgctl.link.spec import LinkSpec
    from kgctl.mesh.linked import ClusterLink
    from kgctl.state.feeds import ClusterInformer
    from kgctl.state.interface import Objects, Source
    from kgctl.state.peers import PeerObjects


class ReadOnlyClusterError(InputError):
    """A cluster that was read from files cannot be changed."""


class ClusterRef(NamedTuple):
    """A cluster: its name, and where it is read from; nothing is read before a plan is made.

    Where there is a ``copy`` that is kept up to date, it is read from that, once it is there.
    """

    name: str
    source: Source
    copy: ClusterInformer | None = None

    @classmethod
    def of_context(
        cls,
        name: str,
        context: str | None = None,
        kubeconfig: str | PathLike[str] | None = None,
        *,
        request_timeout: float | None = REQUEST_TIMEOUT,
    ) -> ClusterRef:
        """Return a live cluster.

        Args:
            name: what it is called in messages, and in the names of the Peers for it.
            context: the context of the kubeconfig; None for the current one.
            kubeconfig: the kubeconfig file; None for the places where kubectl looks.
            request_timeout: seconds that one request may take; None is no limit.
        """
        path = None if kubeconfig is None else str(kubeconfig)
        return cls(
            name, ApiServer(kubeconfig=path, context=context, request_timeout=request_timeout)
        )

    @classmethod
    def of_files(cls, name: str, *paths: str | PathLike[str]) -> ClusterRef:
        """Return a cluster that manifests stand for, files or directories; it cannot be changed."""
        return cls(name, Manifests([str(path) for path in paths]))

    def close(self) -> None:
        """End the connections that are kept for the next request."""
        if isinstance(self.source, ApiServer):
            self.source.close()

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
        return isinstance(self.source, ApiServer)

    def store(self) -> PeerObjects:
        """Return its Peer objects, to be changed.

        Raises:
            ReadOnlyClusterError: it is not a live cluster.
        """
        return self._server(
            "which link does not change", ReadOnlyClusterError, field="read_only"
        ).peers()

    def secrets(self, namespace: str) -> SecretObjects:
        """Return its Secrets of a namespace.

        Raises:
            InputError: it is not a live cluster.
        """
        server = self._server("which keep no preshared keys: name a file for each of its pairs")
        return SecretObjects(server.api(), namespace)

    def services(self) -> ServiceObjects:
        """Return its Services and EndpointSlices.

        Raises:
            InputError: it is not a live cluster.
        """
        return ServiceObjects(self._server("which have no services").api())

    def service_networks(self) -> ServiceNetworks | None:
        """Return the networks of its services, where it tells them.

        Raises:
            KgctlError: it cannot be read.
        """
        return read_service_networks(self._server("which tell none").api()) if self.live else None

    def _server(
        self, but: str, error: type[InputError] = InputError, *, field: str = ""
    ) -> ApiServer:
        if not isinstance(self.source, ApiServer):
            raise error(f"{printable(self.name)} was read from files, {but}", field=field)
        return self.source


class ClusterState(NamedTuple):
    """A cluster as it was read; ``links`` are its Peers that stand for segments of the others.

    ``failure`` says why its network cannot be built. Such a cluster has no segments: what it
    claims is still known, and what links it stays as it is.
    """

    ref: ClusterRef
    objects: Objects
    member: Member
    links: tuple[ClusterLink, ...] = ()
    failure: MeshError | None = None

    def peers_for(self, clusters: Collection[str]) -> frozenset[str]:
        """Return the names of its Peers that stand for segments of these clusters.

        A label decides before a key does: whose key a node has, that node decides.
        """
        slugs = {slug(name) for name in clusters}
        labelled = {peer_name(one) for one in self.objects.peers if linked_source(one) in slugs}
        by_hand = {one.peer.name for one in self.links if one.by_hand and one.source in clusters}
        return frozenset(labelled | by_hand)


def unbuilt_clusters(states: Iterable[ClusterState]) -> frozenset[str]:
    """Return the names of the clusters whose networks cannot be built."""
    return frozenset(state.member.name for state in states if state.failure is not None)


def read_clusters(
    spec: LinkSpec, refs: Sequence[ClusterRef] = (), *, unbuilt: bool = False
) -> list[ClusterState]:
    """Read every cluster, and build its network; ``refs`` stand for those of the spec.

    ``unbuilt`` returns one whose network cannot be built with its ``failure``.

    Raises:
        KgctlError: one cannot be read, or has no network; the message says which.
    """
    states = [_read(spec, one) for one in refs or spec.clusters]
    failed = next((state for state in states if state.failure is not None), None)
    if failed is not None and failed.failure is not None and not unbuilt:
        text = f"{printable(failed.member.name)}: {failed.failure}"
        raise type(failed.failure)(text) from failed.failure
    refuse_one_twice([(state.ref.name, state.objects) for state in states])
    return _linked(states)


def refuse_one_twice(clusters: Sequence[tuple[str, Objects]]) -> None:
    """Make sure that no two of the clusters are one, as the names and keys of their nodes tell.

    Raises:
        InputError: two are.
    """
    owners: dict[tuple[str, str], list[int]] = {}
    sizes = []
    for number, (_, objects) in enumerate(clusters):
        nodes = {(node.name, node.annotations.get(KEY, "")) for node in objects.nodes}
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


def _linked(states: Sequence[ClusterState]) -> list[ClusterState]:
    """Return the clusters with what links them already, whoever made it."""
    labels = link_labels({state.member.name: state.objects.peers for state in states})
    found = linked([state.member for state in states], labels)
    links: dict[str, list[ClusterLink]] = {}
    for link in found.links:
        links.setdefault(link.holder, []).append(link)
    dialled = _dialled(states, found.links)
    complete = []
    for state in states:
        name = state.member.name
        own = tuple(links.get(name, ()))
        member = state.member._replace(
            links=state.member.links | {link.peer.name for link in own},
            dialled=frozenset(dialled.get(name, ())),
        )
        complete.append(state._replace(member=member, links=own))
    return complete


def _dialled(states: Sequence[ClusterState], links: Iterable[ClusterLink]) -> dict[str, set[str]]:
    """Return the segments, by cluster, for which a person gave others a public endpoint."""
    adopted = {
        (state.member.name, peer_name(peer))
        for state in states
        for peer in state.objects.peers
        if adopted_as(peer)
    }
    found: dict[str, set[str]] = {}
    for link in links:
        endpoint = link.peer.annotated_endpoint
        of_person = not link.is_kept or (link.holder, link.peer.name) in adopted
        if link.segment and of_person and is_dialable_from_elsewhere(endpoint):
            found.setdefault(link.source, set()).add(link.segment.name)
    return found


def _read(spec: LinkSpec, ref: ClusterRef) -> ClusterState:
    objects, now = ref.read()
    state = state_of(objects, topology_label=spec.topology_label)
    now = moment(spec.at, (node.last_seen for node in state.nodes), now)
    failure = None
    try:
        topology = network_of(state, now=now, granularity=spec.granularity, acting_leaders=True)
    except MeshError as error:
        topology, failure = unbuilt_network(state), error
    member = Member(
        ref.name,
        state,
        topology,
        spec.service_cidrs.get(ref.name, ()),
        links_of(objects.peers),
        spec.shares.get(ref.name, EVERYTHING),
    )
    return ClusterState(ref, objects, member, failure=failure)
