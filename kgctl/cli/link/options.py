"""What the command line asks for, as a ``LinkSpec``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.clusters import cluster_of, networks_of_clusters
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.limits import LimitOptions
from kgctl.cli.link.limits import limits_of_options
from kgctl.cli.reading import judged_at, live_cluster, mesh_granularity
from kgctl.link.clusters import ClusterRef
from kgctl.link.service_mirrors import mirrored_services
from kgctl.link.spec import FEWEST, LinkSpec, read_link_spec
from kgctl.mesh.text import first_twice, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kgctl.cli.core.shared import Shared
    from kgctl.state.interface import Source


class LinkOptions(NamedTuple):
    """The options of ``kgctl link`` and ``kgctl unlink`` as they were given."""

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

    def spec(self, shared: Shared) -> LinkSpec:
        """Return what the options, or the file that they name, ask for.

        Raises:
            UsageError: they give clusters both ways, or none, or say what does not go together.
            KgctlError: the file is wrong, or a kubeconfig that it names.
        """
        if self.file is None:
            return self._spec_of_arguments(shared)
        if self.clusters or self.service_cidrs or self.mirrors or any(self.limits):
            raise UsageError(
                "the file names clusters, their networks and services, and limits: give it alone"
            )
        if shared.filename or shared.example or shared.contexts or shared.named:
            raise UsageError("link takes clusters from its file, not from --context or --example")

        def open_cluster(kubeconfig: str | None, context: str | None) -> Source:
            chosen = kubeconfig or shared.kubeconfig
            return live_cluster(shared._replace(kubeconfig=chosen, context=context))

        spec = read_link_spec(self.file, open_cluster)
        spec = spec._replace(
            allowed=self.allowed | spec.allowed, prune=self.prune or spec.prune, adopt=self.adopt
        )
        return spec.with_new_keys() if self.rotate else spec

    def _spec_of_arguments(self, shared: Shared) -> LinkSpec:
        if self.rotate:
            raise UsageError("--rotate-preshared-keys needs a mesh file: -f FILE")
        clusters = _clusters(shared, self.clusters)
        names = [one.name for one in clusters]
        return LinkSpec(
            clusters=clusters,
            service_cidrs=networks_of_clusters(self.service_cidrs, names),
            allowed=self.allowed,
            prune=self.prune,
            adopt=self.adopt,
            mirrored=mirrored_services(self.mirrors),
            limits=limits_of_options(self.limits, names),
        )


def as_judged(spec: LinkSpec, shared: Shared) -> LinkSpec:
    """Return a spec with what the shared options say of how clusters are looked at.

    Raises:
        UsageError: an option is wrong.
    """
    return spec._replace(
        at=judged_at(shared),
        granularity=mesh_granularity(shared),
        topology_label=shared.location_label,
    )


def _clusters(shared: Shared, arguments: Sequence[str]) -> list[ClusterRef]:
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
    found = [_cluster(shared, argument) for argument in arguments]
    names = [one.name for one in found]
    twice = first_twice(names)
    if twice is not None:
        raise UsageError(f'two clusters are called "{printable(twice)}"; name them: NAME=CLUSTER')
    if len(found) < FEWEST:
        raise UsageError("give two clusters or more: contexts, kubeconfigs or manifest files")
    return found


def _cluster(shared: Shared, argument: str) -> ClusterRef:
    from kgctl.state.manifests import Manifests

    one = cluster_of(shared, argument)
    files = one.shared.filename
    return ClusterRef(one.name, Manifests(files) if files else live_cluster(one.shared))
