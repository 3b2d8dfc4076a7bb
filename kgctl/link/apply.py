"""Plans, carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from kgctl.errors import KgctlError, NotFoundError, StatusError
from kgctl.link.peers import REPLACED_ANNOTATION
from kgctl.link.steps import ADD, CHANGE, PEER, REMOVE, SECRET, SERVICE, LinkError
from kgctl.mesh.text import printable
from kgctl.state.interface import PeersNotServedError

if TYPE_CHECKING:
    from kgctl.kube.services import ServiceObjects
    from kgctl.kube.stored import Object
    from kgctl.link.clusters import ClusterRef
    from kgctl.link.steps import Plan, Step
    from kgctl.reporter import Reporter

_DENIED = (400, 403, 422)  # what a validating webhook answers


def apply_plan(plan: Plan) -> None:
    """Make the steps of a plan; the first that fails is the last. Nobody is asked.

    Raises:
        kgctl.InputError: a cluster was read from files; nothing was changed.
        kgctl.link.LinkError: one failed; it says what was done, and the next run does the rest.
    """
    ordered = plan.ordered()
    stores = _Stores()
    for ref, step in ordered:
        stores.of(ref, step)
    for done, (ref, step) in enumerate(ordered):
        try:
            apply_step(step, stores.of(ref, step))
        except KgctlError as error:
            raise LinkError(
                f"{printable(ref.name)}: {error}; {done} of {len(ordered)} steps were done, "
                "run it again for the rest"
            ) from error


def apply_each(plan: Plan, reporter: Reporter) -> None:
    """Show a plan in which there is something to do, and make as many of its steps as possible.

    A Peer that cannot be written keeps no other from being written, but none is removed in its
    cluster, where what stands for it may not be there. What else fails ends the work on a cluster;
    a key that cannot be kept, all of it.

    Raises:
        LinkError: it was carried out in part.
    """
    if plan.is_empty:
        return
    reporter.show(plan.text(reporter.setting))
    ordered = plan.ordered()
    failed: dict[str, KgctlError] = {}
    ended: set[str] = set()
    done = 0
    stores = _Stores()
    for ref, step in ordered:
        if ref.name in ended or (ref.name in failed and step.action == REMOVE):
            continue
        try:
            apply_step(step, stores.of(ref, step))
            done += 1
        except KgctlError as error:
            failed.setdefault(ref.name, error)
            if step.kind == SECRET:
                break
            if step.kind != PEER or not isinstance(error, StatusError):
                ended.add(ref.name)
    if failed:
        each = "; ".join(
            f"{printable(name)}: {reporter.worded(error)}" for name, error in failed.items()
        )
        raise LinkError(f"{each}; {done} of {len(ordered)} steps were done, the rest follows")


class Store(Protocol):
    """Where the objects of one kind are written to."""

    def apply(self, wanted: Object, /) -> object:
        """Have the object be as it is wanted."""
        ...

    def delete(self, name: str, *, uid: str | None = None) -> None:
        """Delete an object, if it still is the one of ``uid``."""
        ...


class PeerStore(Store, Protocol):
    """Where Peers are written to."""

    def patch(self, name: str, patch: Object, /) -> object:
        """Merge ``patch`` into the Peer (RFC 7386): null removes, whoever set it."""
        ...


def apply_step(step: Step, store: Store) -> None:
    """Make one step; to make it again changes nothing.

    Raises:
        kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
    """
    if step.action == REMOVE:
        try:
            if step.patch is not None:
                _void(step, cast("PeerStore", store))
            store.delete(step.name, uid=step.uid)
        except PeersNotServedError:
            raise
        except NotFoundError:
            return  # which is what was wanted
        if step.heir:
            _touch(step, cast("PeerStore", store))
    elif step.action in (ADD, CHANGE):
        assert step.wanted is not None
        if step.patch is not None:
            cast("PeerStore", store).patch(step.name, step.patch)
        else:
            store.apply(step.wanted)


def _void(step: Step, store: PeerStore) -> None:
    """Make a Peer invalid, so that agents do not take its key out when it is deleted.

    They know Peers by their keys, and act on the deletion of a valid one alone; its heir has the
    key, too. Where a webhook keeps Peers valid, the heir is back as soon as it is touched.
    """
    assert step.patch is not None
    try:
        store.patch(step.name, step.patch)
    except StatusError as error:
        if error.status not in _DENIED:
            raise


def _touch(step: Step, store: PeerStore) -> None:
    """Have agents hear of the Peer that has the key of one that was removed."""
    store.patch(step.heir, {"metadata": {"annotations": {REPLACED_ANNOTATION: step.name}}})


class _Stores:
    """Where the steps of a plan are written to, each made once."""

    def __init__(self) -> None:
        self._services: dict[str, ServiceObjects] = {}
        self._made: dict[tuple[str, str, str], Store] = {}

    def of(self, ref: ClusterRef, step: Step) -> Store:
        """Return where the object of a step is.

        Raises:
            kgctl.InputError: the cluster was read from files.
        """
        key = ref.name, step.kind, step.namespace
        if key not in self._made:
            self._made[key] = self._store(ref, step)
        return self._made[key]

    def _store(self, ref: ClusterRef, step: Step) -> Store:
        if step.kind == PEER:
            return ref.store()
        if step.kind == SECRET:
            return ref.secrets(step.namespace)
        if ref.name not in self._services:  # it asks which version of slices there is, once
            self._services[ref.name] = ref.services()
        services = self._services[ref.name]
        of_kind = services.services if step.kind == SERVICE else services.slices
        return of_kind(step.namespace)
