"""Execution of plans: the stores that steps are written to, and the order of failures."""

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
    """Apply a plan without asking; stop at the first step that fails.

    Raises:
        kgctl.InputError: a cluster was read from files; nothing was changed.
        kgctl.link.LinkError: a step failed; the message counts the steps done, and the next run
            does the rest.
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
    """Show a plan that is not empty, and make as many of its steps as possible.

    After a Peer that cannot be written, the other Peers are still written, but none is removed in
    that cluster: the one meant to replace it may be missing. Any other failure ends the work on
    the cluster; a Secret that cannot be written ends all of it.

    Raises:
        LinkError: only a part of the plan was carried out.
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
    """A place to write the objects of one kind to."""

    def apply(self, wanted: Object, /) -> object:
        """Create the object, or change it to the wanted one."""
        ...

    def delete(self, name: str, *, uid: str | None = None) -> None:
        """Delete an object if it still has this ``uid``."""
        ...


class PeerStore(Store, Protocol):
    """A place to write Peers to."""

    def patch(self, name: str, patch: Object, /) -> object:
        """Merge ``patch`` into the Peer (RFC 7386): null removes a field, whoever set it."""
        ...


def apply_step(step: Step, store: Store) -> None:
    """Make one step; a second call changes nothing.

    Raises:
        kgctl.ClusterError: the server refused it, or its outcome is unknown.
    """
    if step.action == REMOVE:
        try:
            if step.patch is not None:
                _void(step, cast("PeerStore", store))
            store.delete(step.name, uid=step.uid)
        except PeersNotServedError:
            raise
        except NotFoundError:
            return  # already gone
        if step.heir:
            _touch(step, cast("PeerStore", store))
    elif step.action in (ADD, CHANGE):
        assert step.wanted is not None
        if step.patch is not None:
            cast("PeerStore", store).patch(step.name, step.patch)
        else:
            store.apply(step.wanted)


def _void(step: Step, store: PeerStore) -> None:
    """Make a Peer invalid, so that agents keep its key when it is deleted.

    Agents identify Peers by their keys, and act on the deletion of a valid Peer only. The heir of
    this Peer has the same key. Where a webhook rejects invalid Peers, agents drop the key for a
    moment: touching the heir brings it back.
    """
    assert step.patch is not None
    try:
        store.patch(step.name, step.patch)
    except StatusError as error:
        if error.status not in _DENIED:
            raise


def _touch(step: Step, store: PeerStore) -> None:
    """Change an annotation of the heir, so that agents add the key of the removed Peer again."""
    store.patch(step.heir, {"metadata": {"annotations": {REPLACED_ANNOTATION: step.name}}})


class _Stores:
    """The stores that the steps of a plan are written to, each created once."""

    def __init__(self) -> None:
        self._services: dict[str, ServiceObjects] = {}
        self._made: dict[tuple[str, str, str], Store] = {}

    def of(self, ref: ClusterRef, step: Step) -> Store:
        """Return the store for the object of a step.

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
        if ref.name not in self._services:  # it discovers the version of slices once
            self._services[ref.name] = ref.services()
        services = self._services[ref.name]
        of_kind = services.services if step.kind == SERVICE else services.slices
        return of_kind(step.namespace)
