"""What is to be linked and how, whether the command line says it or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UnsetType

from kgctl.cli.arguments import UsageError
from kgctl.cli.limits import LimitOptions
from kgctl.cli.link.clusters import Named, Read, named_clusters, read_all, service_networks
from kgctl.cli.link.keys import NO_KEYS, KeyRing, KeySettings, key_ring, settings_of
from kgctl.cli.link.limits import limits_of_clusters, limits_of_options
from kgctl.cli.link.mirrors import Mirrors, mirrored_services
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.sharing import EVERYTHING, FULL_MESH, Layout, Share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.cli.shared import Shared
    from kgctl.link.meshformat import Cluster, MeshFile
    from kgctl.link.mirroring import Mirrored
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.policy import Limits
    from kgctl.reporter import Reporter


class Wish(NamedTuple):
    """What was asked for on the command line."""

    clusters: Sequence[str] = ()
    file: Path | None = None
    service_cidrs: Sequence[str] | None = None
    allowed: frozenset[str] = frozenset()
    prune: bool = False
    adopt: bool = False
    directory: Path | None = None
    output: str | None = None
    dry_run: bool = False
    yes: bool = False
    watch: bool = False
    rotate: bool = False
    mirrors: Sequence[str] | None = None
    limits: LimitOptions = LimitOptions()


class Task(NamedTuple):
    """The clusters, which of them are linked, what each shares, and what others grant of that."""

    clusters: Sequence[Named]
    service_cidrs: Mapping[str, tuple[Cidr, ...]]
    shares: Mapping[str, Share]
    layout: Layout
    allowed: frozenset[str]
    prune: bool
    adopt: bool = False
    keys: KeySettings | None = None
    mirrored: tuple[Mirrored, ...] = ()
    limits: Mapping[str, Limits] = {}
    from_file: bool = False

    def mirrors(self, reporter: Reporter) -> Mirrors:
        """Return the services that are to be mirrored, to be looked for.

        Raises:
            InputError: one of the clusters is read from files, or does not exist.
        """
        return Mirrors(self.mirrored, self.clusters, self.layout, reporter)

    def key_ring(self) -> KeyRing:
        """Return the preshared keys of those that are linked, and what their Secrets need.

        Raises:
            KgctlError: a key cannot be had.
        """
        return key_ring(self.keys, self.clusters, self.layout) if self.keys else NO_KEYS

    def read(self, shared: Shared, clusters: Sequence[Named] = ()) -> list[Read]:
        """Read every cluster, and build its network; ``clusters`` stand for its own.

        Raises:
            KgctlError: one cannot be read, or has no network; the message says which.
        """
        return [
            read._replace(
                member=read.member._replace(share=self.shares.get(read.member.name, EVERYTHING))
            )
            for read in read_all(shared, clusters or self.clusters, self.service_cidrs)
        ]

    def others(self, name: str) -> list[str]:
        """Return the names of all other clusters."""
        return [one.name for one in self.clusters if one.name != name]


def task_of(shared: Shared, wish: Wish) -> Task:
    """Return what a command line, or the file that it names, asks for.

    Raises:
        UsageError: it gives clusters both ways, or none, or says what does not go together.
        KgctlError: the file is wrong, or a kubeconfig that it names.
    """
    if wish.file is None:
        if wish.rotate:
            raise UsageError("--rotate-preshared-keys needs the file that says which: -f FILE")
        clusters = named_clusters(shared, wish.clusters)
        networks = service_networks(wish.service_cidrs, clusters)
        return Task(
            clusters=clusters,
            service_cidrs=networks,
            shares={},
            layout=FULL_MESH,
            allowed=wish.allowed,
            prune=wish.prune,
            adopt=wish.adopt,
            mirrored=mirrored_services(wish.mirrors),
            limits=limits_of_options(wish.limits, [one.name for one in clusters]),
        )
    if wish.clusters or wish.service_cidrs or wish.mirrors or any(wish.limits):
        raise UsageError(
            "the file names clusters, their networks and services, and limits: give it alone"
        )
    if shared.filename or shared.example or shared.contexts or shared.named:
        raise UsageError("link takes clusters from its file, not from --context or --example")
    from kgctl.link.meshfile import read_mesh_file

    return _task_of_file(shared, wish, read_mesh_file(wish.file))


def _task_of_file(shared: Shared, wish: Wish, mesh: MeshFile) -> Task:
    assert wish.file is not None
    prune = wish.prune or mesh.prune
    return Task(
        clusters=[_named(shared, wish.file, one) for one in mesh.clusters],
        service_cidrs={
            one.name: _cidrs(one.service_cidrs)
            for one in mesh.clusters
            if not isinstance(one.service_cidrs, UnsetType)
        },
        shares={one.name: _share(one) for one in mesh.clusters},
        layout=Layout(mesh.hubs),
        allowed=wish.allowed | frozenset(mesh.allow),
        prune=prune,
        adopt=wish.adopt,
        keys=settings_of(mesh, wish.file, rotate=wish.rotate, prune=prune),
        mirrored=mirrored_services(mesh.mirror),
        limits=limits_of_clusters(mesh.clusters),
        from_file=True,
    )


def _named(shared: Shared, file: Path, cluster: Cluster) -> Named:
    from kgctl.cli.reading import live_cluster
    from kgctl.link.meshfile import located
    from kgctl.state.manifests import Manifests

    if cluster.manifests:
        names = [str(located(file, one)) for one in cluster.manifests]
        return Named(cluster.name, Manifests(names))
    kubeconfig = shared.kubeconfig
    if cluster.kubeconfig:
        kubeconfig = str(located(file, cluster.kubeconfig))
    context = cluster.context or None
    return Named(
        cluster.name, live_cluster(shared._replace(kubeconfig=kubeconfig, context=context))
    )


def _share(cluster: Cluster) -> Share:
    share = cluster.share
    return Share(
        pods=share.pods,
        services=share.services,
        internal_ips=share.internal_ips,
        location_ips=share.location_ips,
        cidrs=_cidrs(share.cidrs),
    )


def _cidrs(texts: Sequence[str]) -> tuple[Cidr, ...]:
    found = map(parse_cidr, texts)
    return tuple(cidr for cidr in found if cidr is not None)  # all are: the file was checked
