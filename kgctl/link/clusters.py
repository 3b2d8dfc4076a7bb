"""Clusters to link: references to them, and their state once read."""

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
from kgctl.mesh.dialability import is_dialable_from_elsewhere
from kgctl.mesh.link_rules import EVERYTHING, Member
from kgctl.mesh.links import linked
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
    from kgctl.mesh.links import ClusterLink
    from kgctl.state.feeds import ClusterInformer
    from kgctl.state.interface import Objects, Source
    from kgctl.state.peers import PeerObjects


class ReadOnlyClusterError(InputError):
    """A cluster that was read from files cannot be changed."""


class ClusterRef(NamedTuple):
    """A cluster: its name and its source. Nothing is read before a plan is made.

    Where there is a ``copy`` that is kept up to date, the state is read from it once it is
    complete.
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
            name: its name in messages, and in the names of the Peers for it.
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
        """Return a cluster from manifests, files or directories; it cannot be changed."""
        return cls(name, Manifests([str(path) for path in paths]))

    def close(self) -> None:
        """End the connections that are kept for the next request."""
        if isinstance(self.source, ApiServer):
            self.source.close()

    def read(self) -> tuple[Objects, float]:
        """Return its objects, and the time at which they were current (Unix seconds).

        For a copy, that is when the API server last answered: an outage of the API server does
        not make its nodes stale.

        Raises:
            KgctlError: it cannot be read.
        """
        objects = None if self.copy is None else self.copy.read()
        if self.copy is None or objects is None:
            return self.source.read(), time.time()
        return objects, self.copy.heard

    @property
    def live(self) -> bool:
        """Whether it is read from an API server, not from files."""
        return isinstance(self.source, ApiServer)

    def store(self) -> PeerObjects:
        """Return the store of its Peer objects.

        Raises:
            ReadOnlyClusterError: it is not a live cluster.
        """
        return self._server(
            "which link does not change", ReadOnlyClusterError, field="read_only"
        ).peers()

    def secrets(self, namespace: str) -> SecretObjects:
        """Return the store of its Secrets in a namespace.

        Raises:
            InputError: it is not a live cluster.
        """
        server = self._server("which hold no preshared keys: name a file for each of its pairs")
        return SecretObjects(server.api(), namespace)

    def services(self) -> ServiceObjects:
        """Return the stores of its Services and EndpointSlices.

        Raises:
            InputError: it is not a live cluster.
        """
        return ServiceObjects(self._server("which have no services").api())

    def service_networks(self) -> ServiceNetworks | None:
        """Return the networks of its services; None for files, or where they cannot be found.

        Raises:
            KgctlError: it cannot be read.
        """
        return read_service_networks(self._server("which have none").api()) if self.live else None

    def _server(
        self, but: str, error: type[InputError] = InputError, *, field: str = ""
    ) -> ApiServer:
        if not isinstance(self.source, ApiServer):
            raise error(f"{printable(self.name)} was read from files, {but}", field=field)
        return self.source


class ClusterState(NamedTuple):
    """A cluster as it was read; ``links`` are its Peers that stand for segments of the others.

    ``failure`` is the reason why its network cannot be built. Such a cluster has no segments; its
    claims are still known, and its links stay as they are.
    """

    ref: ClusterRef
    objects: Objects
    member: Member
    links: tuple[ClusterLink, ...] = ()
    failure: MeshError | None = None

    def peers_for(self, clusters: Collection[str]) -> frozenset[str]:
        """Return the names of its Peers that stand for segments of these clusters.

        A Peer's label goes before its key: a node can claim any key.
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
    """Read every cluster, and build its network; ``refs`` replace the clusters of the spec.

    With ``unbuilt``, a cluster whose network cannot be built is returned with its ``failure``.

    Raises:
        KgctlError: a cluster cannot be read, or has no network; the message names it.
    """
    states = [_read(spec, one) for one in refs or spec.clusters]
    failed = next((state for state in states if state.failure is not None), None)
    if failed is not None and failed.failure is not None and not unbuilt:
        text = f"{printable(failed.member.name)}: {failed.failure}"
        raise type(failed.failure)(text) from failed.failure
    refuse_one_twice([(state.ref.name, state.objects) for state in states])
    return _linked(states)


def refuse_one_twice(clusters: Sequence[tuple[str, Objects]]) -> None:
    """Check by the names and keys of nodes that no cluster is given twice.

    Raises:
        InputError: two clusters are the same.
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
            f"{names[0]} and {names[1]} are the same cluster: their nodes have the same names and "
            "keys; give two clusters"
        )


def _linked(states: Sequence[ClusterState]) -> list[ClusterState]:
    """Return the clusters with their present links, whoever made these."""
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
    """Return, by cluster, the segments that a person's Peer elsewhere gives a public endpoint."""
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
        topology, failure = unbuilt_network(state, now), error
    member = Member(
        ref.name,
        state,
        topology,
        spec.service_cidrs.get(ref.name, ()),
        links_of(objects.peers),
        spec.shares.get(ref.name, EVERYTHING),
    )
    return ClusterState(ref, objects, member, failure=failure)
