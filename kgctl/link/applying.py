"""Steps of a plan for a cluster, carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from kgctl.link.plan import ADD, CHANGE, REMOVE, REPLACED_ANNOTATION

if TYPE_CHECKING:
    from kgctl.link.plan import Object, Step

_DENIED = (400, 403, 422)  # what a validating webhook answers


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


def carry_out(step: Step, store: Store) -> None:
    """Make one step; to make it again changes nothing.

    Raises:
        kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
    """
    from kgctl.kube.errors import NotFoundError
    from kgctl.state.errors import PeersNotServedError

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
    from kgctl.kube.errors import StatusError

    assert step.patch is not None
    try:
        store.patch(step.name, step.patch)
    except StatusError as error:
        if error.status not in _DENIED:
            raise


def _touch(step: Step, store: PeerStore) -> None:
    """Have agents hear of the Peer that has the key of one that was removed."""
    store.patch(step.heir, {"metadata": {"annotations": {REPLACED_ANNOTATION: step.name}}})
