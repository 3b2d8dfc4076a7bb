"""Services that are to be in linked clusters, too: looked for, and what each cluster needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.kube.errors import ForbiddenError
from kgctl.link.mirror_objects import (
    Mirrored,
    MirrorError,
    parse_mirrored,
    wanted_service,
    wanted_slices,
)
from kgctl.link.mirror_steps import Place, Present, mirror_steps
from kgctl.link.peers import MANAGER, MANAGER_LABEL, linked_source
from kgctl.link.steps import SERVICE, SLICE
from kgctl.mesh.errors import InputError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kgctl.kube.stored import Object
    from kgctl.link.claim_policy import Grants
    from kgctl.link.spec import LinkSpec
    from kgctl.link.steps import Step
    from kgctl.reporter import Reporter

_OURS = f"{MANAGER_LABEL}={MANAGER}"


class MirrorPlan(NamedTuple):
    """What each cluster is to hold of mirrored services, and what has to be done for that."""

    wanted: Mapping[str, Mapping[Place, Object]]
    steps: Mapping[str, Sequence[Step]]


NO_MIRRORS = MirrorPlan({}, {})


class ServiceMirrors:
    """The services that are to be mirrored between clusters, all of which are live.

    Raises:
        InputError: one of the clusters is none, or does not exist.
    """

    def __init__(self, spec: LinkSpec, reporter: Reporter) -> None:
        asked, clusters = spec.mirrored, spec.clusters
        names = [one.name for one in clusters]
        for mirrored in asked:
            if mirrored.cluster and mirrored.cluster not in names:
                raise InputError(
                    f'mirror names the cluster "{printable(mirrored.cluster)}", which is not '
                    f"linked here; there are {', '.join(map(printable, names))}",
                    field="mirror",
                )
        files = [one.name for one in clusters if asked and not one.live]
        if files:
            raise InputError(
                "services are mirrored between live clusters: leave "
                f"{reporter.setting('mirror')} out, or give contexts "
                f"instead of files for {', '.join(map(printable, files))}"
            )
        self._asked = asked
        self._reporter = reporter
        self._layout = spec.layout
        self._live = {one.name: one.services() for one in clusters if one.live}
        self._outside: dict[Mirrored, int] = {}
        self._unseen: list[str] = []

    def find(self, views: Mapping[str, Grants], *, prune: bool) -> MirrorPlan:
        """Look for the services and what stands for them; return what each cluster needs.

        ``views`` are what each gets of the others; one that is not among them stays as it is, and
        so does what stands for its services. Without anything to mirror or to prune, nobody is
        asked anything.

        Raises:
            MirrorError: a service is nowhere, or in several clusters, or cannot be mirrored.
            KgctlError: a cluster cannot be read.
        """
        if not self._asked and not prune:
            return NO_MIRRORS
        present = self._present()
        judged = [name for name in self._live if name in views]
        wanted: dict[str, dict[Place, Object]] = {name: {} for name in judged}
        gone: set[Place] = set()
        for mirrored in self._asked:
            found = self._source(mirrored, present)
            if found is None:
                gone.add(Place(SERVICE, mirrored.namespace, mirrored.name))
            elif found[0] in views:
                source, service = found
                self._want(mirrored, source, service, views, present, wanted)
        steps = {
            name: mirror_steps(
                name,
                wanted[name],
                present[name],
                [one for one in judged if one != name],
                prune=prune,
                gone=gone,
            )
            for name in judged
        }
        return MirrorPlan(wanted, steps)

    def unlinked(self) -> Mapping[str, Sequence[Step]]:
        """Return what removes every mirror that these clusters have of one another, by cluster.

        Raises:
            KgctlError: a cluster cannot be read.
        """
        steps = {
            name: mirror_steps(name, {}, present, self._others(name), prune=True)
            for name, present in self._present().items()
        }
        if self._unseen:
            self._reporter.warn(
                f"not allowed to list the services of {', '.join(self._unseen)}: if any are "
                "mirrored there, they stay (kgctl help rbac link-services prints a role that may)"
            )
        return steps

    def _others(self, name: str) -> list[str]:
        return [one for one in self._live if one != name]

    def _present(self) -> dict[str, Present]:
        """Return all that carries our labels, by cluster.

        Who asks for no mirrors need not be allowed to look for them.
        """
        found, self._unseen = {}, []
        for name, live in self._live.items():
            try:
                found[name] = Present.of(*live.labelled(_OURS))
            except ForbiddenError:
                if self._asked:
                    raise
                found[name] = Present({})
                self._unseen.append(printable(name))
        return found

    def _source(
        self, mirrored: Mirrored, present: Mapping[str, Present]
    ) -> tuple[str, Object] | None:
        """Return the cluster that has a service, and the service; None if it has it no more."""
        having = []
        for name in [mirrored.cluster] if mirrored.cluster else self._live:
            services = self._live[name].services(mirrored.namespace)
            service = services.find(mirrored.name)
            if service is not None and linked_source(service) is None:
                having.append((name, service))
        if len(having) > 1:
            names = [printable(name) for name, _ in having]
            raise MirrorError(
                f"{' and '.join(names)} each have a service {mirrored}: say "
                f"whose is to be in the others: "
                f"{self._reporter.setting('mirror', f'{names[0]}={mirrored}')}"
            )
        if having:
            return having[0]
        place = Place(SERVICE, mirrored.namespace, mirrored.name)
        if any(place in one.objects for one in present.values()):
            self._reporter.inform(f"the service {mirrored} is gone: what stands for it goes, too")
            return None
        cluster = printable(mirrored.cluster)
        nowhere = f"{cluster} has no" if cluster else "none of the clusters has a"
        raise MirrorError(
            f"{nowhere} service {mirrored} to mirror: is that its namespace and name?"
        )

    def _want(
        self,
        mirrored: Mirrored,
        source: str,
        service: Object,
        views: Mapping[str, Grants],
        present: Mapping[str, Present],
        wanted: Mapping[str, dict[Place, Object]],
    ) -> None:
        """Note what stands for a service of ``source`` in all clusters that reach it."""
        slices = self._live[source].slices_of(mirrored.namespace, mirrored.name)
        outside = 0
        for name in [one for one in self._reaching(source) if one in views]:
            networks = views[name].networks_of(source)
            made = wanted_slices(source, slices, mirrored, networks)
            outside = max(outside, made.outside)
            placed = self._placed(name, wanted_service(source, service, mirrored), made.objects)
            wanted[name].update(placed)
            self._look_up(name, mirrored, placed, present[name])
        self._tell(mirrored, source, outside)

    def _reaching(self, source: str) -> Iterable[str]:
        for name in self._others(source):
            relayed = any(self._layout.relays(hub, source, name) for hub in self._layout.hubs)
            if self._layout.linked(source, name) or relayed:
                yield name

    def _placed(self, name: str, service: Object, slices: Iterable[Object]) -> dict[Place, Object]:
        version = f"discovery.k8s.io/{self._live[name].slice_version()}"
        placed = {Place.of(SLICE, one): {**one, "apiVersion": version} for one in slices}
        return {Place.of(SERVICE, service): service, **placed}

    def _look_up(
        self, name: str, mirrored: Mirrored, wanted: Mapping[Place, Object], present: Present
    ) -> None:
        """Add to what is present whatever of somebody else's is where something is to be."""
        live = self._live[name]
        stores = {
            SERVICE: live.services(mirrored.namespace),
            SLICE: live.slices(mirrored.namespace),
        }
        for place in wanted:
            if place in present.objects:
                continue
            one = stores[place.kind].find(place.name)
            if one is not None:
                present.objects[place] = one
            elif place.kind == SERVICE and not live.has_namespace(mirrored.namespace):
                raise MirrorError(
                    f"{printable(name)} has no namespace {mirrored.namespace} for the service "
                    f"{mirrored}: kubectl create namespace {mirrored.namespace}"
                )

    def _tell(self, mirrored: Mirrored, source: str, outside: int) -> None:
        if outside and self._outside.get(mirrored) != outside:
            self._reporter.warn(
                f"{outside} endpoints of the service {mirrored} are of no network that "
                f"{printable(source)} shares: left out"
            )
        self._outside[mirrored] = outside


def mirrored_services(values: Sequence[str] | None) -> tuple[Mirrored, ...]:
    """Return the services that ``[CLUSTER=]NAMESPACE/SERVICE`` name.

    Raises:
        InputError: one is written otherwise, or stands there twice.
    """
    found: dict[tuple[str, str], Mirrored] = {}
    for value in values or ():
        mirrored = parse_mirrored(value)
        if mirrored is None:
            raise InputError(
                f'mirror "{printable(value)}" names no service; give [CLUSTER=]NAMESPACE/SERVICE',
                field="mirror",
            )
        if found.setdefault(mirrored[:2], mirrored) != mirrored:
            raise InputError(
                f"the service {mirrored} is to be mirrored from two clusters: only one can be"
            )
    return tuple(found.values())
