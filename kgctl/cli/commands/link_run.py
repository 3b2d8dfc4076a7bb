"""Work of ``kgctl link`` and ``kgctl unlink``: make a ``LinkSpec`` of options, plan, ask, apply."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.commands.link import limits_of_options
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.clusters import cluster_of, networks_of_clusters
from kgctl.cli.core.limits import LimitOptions
from kgctl.cli.core.output import Printer, answer, ask, warn_of_others
from kgctl.cli.core.source import judged_at, live_cluster, mesh_granularity
from kgctl.link.apply import apply_plan
from kgctl.link.clusters import ClusterRef
from kgctl.link.peers import slug
from kgctl.link.plan import MissingKeysError, ObstacleError, plan_links, plan_unlink, wanted_objects
from kgctl.link.service_mirrors import mirrored_services
from kgctl.link.spec import FEWEST, LinkSpec, read_link_spec
from kgctl.link.steps import ADD, CHANGE, REMOVE, LinkError, Plan
from kgctl.mesh.text import first_twice, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kgctl.cli.core.shared import Shared
    from kgctl.state.interface import Source


class LinkOptions(NamedTuple):
    """The options of ``kgctl link`` and ``kgctl unlink``, unparsed."""

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
        """Return the spec of the options, or of the mesh file that they name.

        Raises:
            UsageError: the options name clusters in two ways, or none, or conflict.
            KgctlError: the mesh file, or a kubeconfig that it names, is invalid.
        """
        if self.file is None:
            return self._spec_of_arguments(shared)
        if self.clusters or self.service_cidrs or self.mirrors or any(self.limits):
            raise UsageError(
                "the mesh file sets clusters, networks, services and limits: give only -f FILE"
            )
        if shared.filename or shared.example or shared.contexts or shared.named:
            raise UsageError(
                "link takes clusters from its mesh file: omit --context, --cluster and --example"
            )

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
    """Return a spec with the shared options that judge clusters: time, granularity and label.

    Raises:
        UsageError: an option is wrong.
    """
    return spec._replace(
        at=judged_at(shared),
        granularity=mesh_granularity(shared),
        topology_label=shared.location_label,
    )


def _clusters(shared: Shared, arguments: Sequence[str]) -> list[ClusterRef]:
    """Return the clusters that the arguments name (see ``cluster_of``).

    Raises:
        UsageError: there are fewer than two, or two with the same name.
        KgctlError: a cluster cannot be read.
    """
    if shared.filename or shared.example or shared.contexts or shared.named:
        raise UsageError(
            "link takes clusters as arguments: omit --context, --cluster, --filename and --example"
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


_WORDS = {ADD: "to add", CHANGE: "to change", REMOVE: "to remove"}
_DONE = {ADD: "added", CHANGE: "changed", REMOVE: "removed"}


def link(shared: Shared, options: LinkOptions) -> None:
    """Link clusters, once or until interrupted.

    Raises:
        LinkError: an obstacle prevents linking, or the plan was carried out only in part.
        KgctlError: a cluster cannot be read or changed.
    """
    if options.watch and not options.yes:
        raise UsageError("--watch changes clusters without asking: add --yes")
    if options.watch and (options.directory is not None or options.dry_run or options.rotate):
        raise UsageError(
            "--watch does not go with --directory, --dry-run or --rotate-preshared-keys"
        )
    spec = as_judged(options.spec(shared), shared)
    if options.watch:
        _watch(spec)
        return
    with _naming_options():
        if options.directory is not None:
            _write(spec, options.directory, options.output or "yaml")
        else:
            _settle(plan_links(spec, Printer()), options)


def remove_links(shared: Shared, options: LinkOptions) -> None:
    """Remove the links between clusters.

    Raises:
        LinkError: the plan was carried out only in part.
        KgctlError: a cluster cannot be read or changed.
    """
    spec = options.spec(shared)
    with _naming_options():
        _settle(plan_unlink(spec, Printer()), options)


@contextmanager
def _naming_options() -> Iterator[None]:
    """Add the options that help to the messages of errors."""
    try:
        yield
    except ObstacleError as error:
        raise LinkError(
            f"not linked, nothing was changed: fix what is listed above, or allow it with "
            f"{' '.join(f'--allow {check}' for check in error.checks)}"
        ) from None
    except MissingKeysError as error:
        raise LinkError(
            f"{', '.join(error.clusters)} lack generated preshared keys: run it without "
            "--directory first, which generates them and keeps them in Secrets"
        ) from None


def _watch(spec: LinkSpec) -> None:
    from kgctl.link.watch import watch_links
    from kgctl.state.follow import end_at_signals

    end_at_signals()
    watch_links(spec, Printer())


def _settle(plan: Plan, options: LinkOptions) -> None:
    """Show the plan, ask unless ``--yes``, and carry it out.

    Raises:
        LinkError: the plan was carried out only in part.
        KgctlError: the user declined.
    """
    if text := plan.text(Printer().setting):
        answer(f"{text}\n")
    if plan.is_empty:
        answer("nothing to do\n")
        return
    answer(f"{_summary(plan, _WORDS)}{' (dry run)' if options.dry_run else ''}\n")
    if options.dry_run:
        return
    if not options.yes:
        ask("Apply these changes?")
    apply_plan(plan)
    answer(f"done: {_summary(plan, _DONE)}\n")


def _summary(plan: Plan, words: Mapping[str, str]) -> str:
    return ", ".join(f"{count} {words[action]}" for action, count in plan.counts().items())


def _write(spec: LinkSpec, directory: Path, form: str) -> None:
    """Write the wanted objects of each cluster to a file, as YAML or JSON."""
    from kgctl.files.atomic import make_directory, write_private
    from kgctl.kube.codec.structured import to_json, to_yaml

    wanted = wanted_objects(spec, Printer())
    make_directory(directory)
    warn_of_others(directory / "FILE")
    for name, objects in wanted.items():
        text = "---\n".join(map(to_yaml, objects))
        if form == "json":
            text = to_json({"apiVersion": "v1", "kind": "List", "items": objects})
        path = directory / f"{slug(name)}.{form}"
        write_private(path, text.encode())
        answer(f"{path}\n")
