"""Writing a Peer and knowing what became of it, also where the answer was lost on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.kube.errors import (
    AnswerError,
    ClusterError,
    ConflictError,
    NotFoundError,
    OverloadedError,
    UnreachableError,
)
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kgctl.kube.stored import Object
    from kgctl.state.peers import PeerObjects

_UNANSWERED = (UnreachableError, OverloadedError, AnswerError)


class UnfinishedError(ClusterError):
    """What was written to the cluster may be there: keep what belongs to it, a private key say."""


def sure(write: Callable[[], Object], store: PeerObjects, wanted: Object) -> Object:
    """Carry out a write and return the Peer as it is stored.

    A write is sent once. Where no answer came, the Peer is read: the write was carried out if
    the Peer is as ``wanted``.

    Raises:
        UnfinishedError: it is not known whether it was carried out.
        ClusterError: it was not carried out.
    """
    try:
        return write()
    except _UNANSWERED as error:
        name = wanted["metadata"]["name"]
        try:
            found = store.get(name)
        except NotFoundError:
            raise error from None
        except ClusterError:
            raise UnfinishedError(
                f"{error}; it is not known whether the peer {printable(name)} was written: look "
                f"with: kgctl get peer {printable(name)}"
            ) from error
        as_wanted = all(spec_of(found).get(key) == value for key, value in wanted["spec"].items())
        if as_wanted:
            return found
        raise


def spec_of(peer: Mapping[str, Any]) -> Object:
    """Return the spec of a Peer; an empty one where it has none."""
    spec = peer.get("spec")
    return spec if isinstance(spec, dict) else {}


def withdraw(store: PeerObjects, stored: Object, error: BaseException) -> None:
    """Delete a Peer that ``error`` kept from being finished, unless it is another by now.

    Raises:
        UnfinishedError: it could not be deleted.
    """
    name = stored["metadata"]["name"]
    try:
        store.delete(name, uid=stored["metadata"].get("uid"))
    except (NotFoundError, ConflictError):
        return
    except ClusterError:
        raise UnfinishedError(
            f"{str(error) or 'interrupted'}; the peer {printable(name)} could not be removed "
            f"again: kgctl peer rm {printable(name)}"
        ) from error
