"""What has to be done so that a cluster has the mirrored services that it is to have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.kube.errors import ClusterError
from kgctl.link.mirror_objects import (
    MirrorError,
    namespace_of,
    service_facts,
    service_of,
    slice_facts,
)
from kgctl.link.peers import linked_source, slug
from kgctl.link.steps import ADD, CHANGE, REMOVE, SAME, SERVICE, SLICE, STALE, Step
from kgctl.mesh.text import printable
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from kgctl.kube.stored import Object


class ForeignServiceError(ClusterError):
    """A Service that someone else made has the name of one that is to be mirrored."""


class Place(NamedTuple):
    """Where an object is."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, kind: str, one: Mapping[str, Any]) -> Place:
        """Return the place of an object of that kind."""
        return cls(kind, namespace_of(one), peer_name(one))


def in_order(places: Iterable[Place]) -> list[Place]:
    """Return places by namespace, services before their slices."""
    return sorted(places, key=lambda place: (place.namespace, place.kind != SERVICE, place.name))


class Present(NamedTuple):
    """What a cluster holds: all that carries our labels, and whatever is where it is to be."""

    objects: dict[Place, Object]

    @classmethod
    def of(cls, services: Iterable[Object], slices: Iterable[Object]) -> Present:
        """Return what these are together."""
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
    """Return what makes the mirrored services of ``cluster`` what is wanted, sorted by place.

    Only mirrors from the ``sources`` are ever removed. Slices of a service that stays go with the
    pods that they held, and what stands for services that are ``gone`` goes with these; all else
    goes only to ``prune``.

    Raises:
        ForeignServiceError: somebody else's object is where a mirror is to be.
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
            f"the {shown} of {printable(cluster)} is there, but kgctl link did not make it: rename "
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
            f"the mirrored service {where} of {printable(cluster)} cannot be changed: the one that "
            f"it stands for is {'headless' if service.headless else 'not headless any more'}; "
            "delete the mirrored one, and link again"
        )
    named = zip(service._fields, service, before, strict=True)
    return found + [name for name, after, earlier in named if after != earlier]
