"""The specification of links: clusters, layout and settings, and its reader for mesh files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from kgctl.errors import InputError
from kgctl.kilo import TOPOLOGY_LABEL
from kgctl.link.clusters import ClusterRef
from kgctl.link.keys import key_settings
from kgctl.link.service_mirrors import mirrored_services
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.link_rules import FULL_MESH, Layout, Share
from kgctl.mesh.policy import Limits
from kgctl.mesh.state import AUTO
from kgctl.mesh.text import first_twice, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from os import PathLike

    from kgctl.link.keys import KeySettings
    from kgctl.link.mesh_format import Cluster, MeshFile
    from kgctl.link.mirror_objects import Mirrored
    from kgctl.mesh.cidr import Cidr
    from kgctl.state.interface import Source

FEWEST = 2
"""Clusters that can be linked."""


class LinkSpec(NamedTuple):
    """The clusters to link, what each shares, and what the others accept of that.

    Attributes:
        clusters: two or more, each with a unique name.
        service_cidrs: the service networks of a cluster, by its name. Without an entry, they are
            read from the cluster; with an empty one, no services are reached.
        shares: the networks of a cluster that the others get, by its name; all, without an entry.
        layout: which clusters are linked with which.
        allowed: the checks that may fail: ``overlap``, ``endpoints``, ``keys``, ``granularity``.
        prune: remove links to segments that are gone.
        adopt: take over Peers that link the clusters already.
        keys: the sources of preshared keys; None for no keys.
        mirrored: the services to mirror to all other clusters.
        limits: what the others accept of the claims of a cluster, by its name.
        at: the time, in Unix seconds, by which heartbeats are judged; ``"newest"`` is that of the
            newest heartbeat of each cluster. None is the time at which a cluster is read.
        granularity: ``location``, ``full``, or ``auto`` for that of the nodes.
        topology_label: the node label that holds a node's location.
        from_file: whether the spec comes from a mesh file; messages then name the file's keys.
    """

    clusters: Sequence[ClusterRef]
    service_cidrs: Mapping[str, tuple[Cidr, ...]] = {}
    shares: Mapping[str, Share] = {}
    layout: Layout = FULL_MESH
    allowed: frozenset[str] = frozenset()
    prune: bool = False
    adopt: bool = False
    keys: KeySettings | None = None
    mirrored: tuple[Mirrored, ...] = ()
    limits: Mapping[str, Limits] = {}
    at: float | Literal["newest"] | None = None
    granularity: str = AUTO
    topology_label: str = TOPOLOGY_LABEL
    from_file: bool = False

    def check(self) -> None:
        """Check the number and the names of the clusters.

        Raises:
            InputError: there are fewer than two, or two of one name.
        """
        names = [one.name for one in self.clusters]
        twice = first_twice(names)
        if twice is not None:
            raise InputError(f'two clusters are called "{printable(twice)}"')
        if len(names) < FEWEST:
            raise InputError("at least two clusters are needed")

    def others(self, name: str) -> list[str]:
        """Return the names of all other clusters."""
        return [one.name for one in self.clusters if one.name != name]

    def without(self, names: Collection[str]) -> LinkSpec:
        """Return a spec without these clusters."""
        return self._replace(clusters=[one for one in self.clusters if one.name not in names])

    def with_new_keys(self) -> LinkSpec:
        """Return a spec that replaces the preshared keys that kgctl keeps in Secrets.

        Raises:
            InputError: kgctl keeps no keys.
        """
        if self.keys is None or not self.keys.keeps_secrets():
            raise InputError("there are no preshared keys to rotate: the file generates none")
        return self._replace(keys=self.keys._replace(rotate=True))


OpenCluster = Callable[["str | None", "str | None"], "Source"]
"""Returns the live cluster of a kubeconfig file and a context; None for kubectl's defaults."""


def read_link_spec(path: str | PathLike[str], open_cluster: OpenCluster | None = None) -> LinkSpec:
    """Read a mesh file.

    Args:
        path: the file that ``kgctl link -f`` reads.
        open_cluster: returns the live cluster of a kubeconfig file and a context. Default: that
            of ``ClusterRef.of_context``.

    Raises:
        kgctl.KgctlError: the file, or a kubeconfig that it names, is wrong.
    """
    from kgctl.link.mesh_file import read_mesh_file  # which imports msgspec

    file = Path(path)
    return _spec_of(read_mesh_file(file), file, open_cluster or _open_cluster)


def _open_cluster(kubeconfig: str | None, context: str | None) -> Source:
    return ClusterRef.of_context("", context, kubeconfig).source


def _spec_of(mesh: MeshFile, path: Path, open_cluster: OpenCluster) -> LinkSpec:
    from msgspec import UnsetType

    return LinkSpec(
        clusters=[_ref(one, path, open_cluster) for one in mesh.clusters],
        service_cidrs={
            one.name: _cidrs(one.service_cidrs)
            for one in mesh.clusters
            if not isinstance(one.service_cidrs, UnsetType)
        },
        shares={one.name: _share(one) for one in mesh.clusters},
        layout=Layout(mesh.hubs),
        allowed=frozenset(mesh.allow),
        prune=mesh.prune,
        keys=key_settings(mesh, path),
        mirrored=mirrored_services(mesh.mirror),
        limits={one.name: _limits(one) for one in mesh.clusters},
        from_file=True,
    )


def _ref(cluster: Cluster, path: Path, open_cluster: OpenCluster) -> ClusterRef:
    from kgctl.link.mesh_file import located

    if cluster.manifests:
        return ClusterRef.of_files(cluster.name, *(located(path, one) for one in cluster.manifests))
    kubeconfig = str(located(path, cluster.kubeconfig)) if cluster.kubeconfig else None
    return ClusterRef(cluster.name, open_cluster(kubeconfig, cluster.context or None))


def _share(cluster: Cluster) -> Share:
    share = cluster.share
    return Share(
        pods=share.pods,
        services=share.services,
        internal_ips=share.internal_ips,
        location_ips=share.location_ips,
        cidrs=_cidrs(share.cidrs),
    )


def _limits(cluster: Cluster) -> Limits:
    limits = cluster.limits
    accept: dict[str, tuple[Cidr, ...]] = {}
    for text in limits.accept:
        name, _, network = text.rpartition("=")
        accept[name] = (*accept.get(name, ()), *_masked([network]))
    return Limits(_masked(limits.only_networks), _masked(limits.deny), accept)


def _masked(texts: Iterable[str]) -> tuple[Cidr, ...]:
    return tuple(cidr.masked() for cidr in _cidrs(texts))


def _cidrs(texts: Iterable[str]) -> tuple[Cidr, ...]:
    found = map(parse_cidr, texts)
    return tuple(cidr for cidr in found if cidr is not None)  # none is: the file was checked
