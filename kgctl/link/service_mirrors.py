"""Planning of service mirrors: the search for their originals, and the steps for each cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import ClusterError, ForbiddenError, InputError
from kgctl.link.mirror_objects import (
    Mirrored,
    MirrorError,
    namespace_of,
    parse_mirrored,
    service_facts,
    service_of,
    slice_facts,
    wanted_service,
    wanted_slices,
)
from kgctl.link.peers import MANAGER, MANAGER_LABEL, linked_source, slug
from kgctl.link.steps import ADD, CHANGE, REMOVE, SAME, SERVICE, SLICE, STALE, Step
from kgctl.mesh.text import printable
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from kgctl.kube.stored import Object
    from kgctl.link.claim_policy import Grants
    from kgctl.link.spec import LinkSpec
    from kgctl.reporter import Reporter


class ForeignServiceError(ClusterError):
    """An object that kgctl link did not make is where a mirror belongs."""


class Place(NamedTuple):
    """The kind, namespace and name of an object."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, kind: str, one: Mapping[str, Any]) -> Place:
        """Return the place of an object of that kind."""
        return cls(kind, namespace_of(one), peer_name(one))


def in_order(places: Iterable[Place]) -> list[Place]:
    """Sort places by namespace; in each, services come before slices."""
    return sorted(places, key=lambda place: (place.namespace, place.kind != SERVICE, place.name))


class Present(NamedTuple):
    """The objects of a cluster that have kgctl's labels, or are where a mirror belongs."""

    objects: dict[Place, Object]

    @classmethod
    def of(cls, services: Iterable[Object], slices: Iterable[Object]) -> Present:
        """Combine services and slices."""
        found = {Place.of(SERVICE, one): one for one in services}
        found |= {Place.of(SLICE, one): one for one in slices}
        return cls(found)


def mirror_steps(
    cluster: str,
    wanted: Mapping[Place, Object],
    present: Present,
    sources: Iterable[str],
    *,
    prune: bool,
    gone: Collection[Place] = (),
) -> list[Step]:
    """Return the steps from the present to the wanted mirrors of ``cluster``, sorted by place.

    Only mirrors from the ``sources`` are removed: surplus slices of services that stay, the mirrors
    of services that are ``gone``, and, only to ``prune``, all others.

    Raises:
        ForeignServiceError: an object that kgctl link did not make is where a mirror belongs.
        MirrorError: a change is needed that the API does not allow.
    """
    steps = [_step(cluster, place, wanted[place], present) for place in in_order(wanted)]
    settled = {place[1:] for place in (*wanted, *gone) if place.kind == SERVICE}
    ours = {slug(source) for source in sources}
    for place in in_order(present.objects):
        one = present.objects[place]
        if place not in wanted and linked_source(one) in ours:
            service = place.name if place.kind == SERVICE else service_of(one)
            action = REMOVE if prune or (place.namespace, service) in settled else STALE
            uid = one["metadata"].get("uid")
            steps.append(Step(action, place.name, None, (), uid, place.kind, place.namespace))
    return steps


def _step(cluster: str, place: Place, wanted: Object, present: Present) -> Step:
    one = present.objects.get(place)
    if one is None:
        return Step(ADD, place.name, wanted, kind=place.kind, namespace=place.namespace)
    if linked_source(one) is None:
        shown = f"{place.kind} {printable(place.namespace)}/{printable(place.name)}"
        raise ForeignServiceError(
            f"the {shown} of {printable(cluster)} exists, but kgctl link did not make it: rename "
            "or delete it first, or do not mirror it"
        )
    fields = tuple(_differing(cluster, place, wanted, one))
    action = CHANGE if fields else SAME
    return Step(action, place.name, wanted, fields, kind=place.kind, namespace=place.namespace)


def _differing(cluster: str, place: Place, wanted: Object, one: Object) -> Sequence[str]:
    found: list[str] = [] if linked_source(one) == linked_source(wanted) else ["cluster"]
    if place.kind == SLICE:
        new, old = slice_facts(wanted), slice_facts(one)
        return found + [name for name in new._fields if getattr(new, name) != getattr(old, name)]
    service, before = service_facts(wanted), service_facts(one)
    if service.headless != before.headless:
        where = f"{printable(place.namespace)}/{printable(place.name)}"
        raise MirrorError(
            f"the mirrored service {where} of {printable(cluster)} cannot be changed: its original "
            f"is {'now headless' if service.headless else 'no longer headless'}; "
            "delete the mirrored one, and link again"
        )
    named = zip(service._fields, service, before, strict=True)
    return found + [name for name, after, earlier in named if after != earlier]


_OURS = f"{MANAGER_LABEL}={MANAGER}"


class MirrorPlan(NamedTuple):
    """The wanted mirrors and the steps to them, by cluster."""

    wanted: Mapping[str, Mapping[Place, Object]]
    steps: Mapping[str, Sequence[Step]]


NO_MIRRORS = MirrorPlan({}, {})


class ServiceMirrors:
    """The services to mirror between clusters, which must be live.

    Raises:
        InputError: a cluster was read from files, or a named one is not in the spec.
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
        """Find the services and their mirrors, and return the steps for each cluster.

        ``views`` has what each cluster accepts of the others. A cluster without a view stays as it
        is, and so do the mirrors of its services. With nothing to mirror or prune, no request is
        made.

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
        """Return the steps that remove all mirrors between these clusters, by cluster.

        Raises:
            KgctlError: a cluster cannot be read.
        """
        steps = {
            name: mirror_steps(name, {}, present, self._others(name), prune=True)
            for name, present in self._present().items()
        }
        if self._unseen:
            self._reporter.warn(
                f"not allowed to list the services of {', '.join(self._unseen)}: any mirrors there "
                "stay (kgctl help rbac link-services prints a role that may)"
            )
        return steps

    def _others(self, name: str) -> list[str]:
        return [one for one in self._live if one != name]

    def _present(self) -> dict[str, Present]:
        """Return all objects with kgctl's labels, by cluster.

        A user who asks for no mirrors does not need the right to list them.
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
        """Return the cluster that has a service, and the service; None if it is gone."""
        having = []
        for name in [mirrored.cluster] if mirrored.cluster else self._live:
            services = self._live[name].services(mirrored.namespace)
            service = services.find(mirrored.name)
            if service is not None and linked_source(service) is None:
                having.append((name, service))
        if len(having) > 1:
            names = [printable(name) for name, _ in having]
            raise MirrorError(
                f"{' and '.join(names)} each have a service {mirrored}: choose "
                f"the one to mirror: "
                f"{self._reporter.setting('mirror', f'{names[0]}={mirrored}')}"
            )
        if having:
            return having[0]
        place = Place(SERVICE, mirrored.namespace, mirrored.name)
        if any(place in one.objects for one in present.values()):
            self._reporter.inform(f"the service {mirrored} is gone: its mirrors are removed")
            return None
        cluster = printable(mirrored.cluster)
        nowhere = f"{cluster} has no" if cluster else "none of the clusters has a"
        raise MirrorError(f"{nowhere} service {mirrored} to mirror: check its namespace and name")

    def _want(
        self,
        mirrored: Mirrored,
        source: str,
        service: Object,
        views: Mapping[str, Grants],
        present: Mapping[str, Present],
        wanted: Mapping[str, dict[Place, Object]],
    ) -> None:
        """Add the mirrors of a service of ``source`` for all clusters that reach it."""
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
        """Add to ``present`` the foreign objects at wanted places."""
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
                f"left out {outside} endpoints of the service {mirrored}: no network that "
                f"{printable(source)} shares has them"
            )
        self._outside[mirrored] = outside


def mirrored_services(values: Sequence[str] | None) -> tuple[Mirrored, ...]:
    """Parse services to mirror, each ``[CLUSTER=]NAMESPACE/SERVICE``.

    Raises:
        InputError: a value is malformed, or a service is given for two clusters.
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
                f"the service {mirrored} is given for two clusters: choose the one to mirror"
            )
    return tuple(found.values())
