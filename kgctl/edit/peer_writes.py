"""Writing Peers such that Kilo's agents hear of it, also where a Peer was invalid.

An agent keeps a Peer as it last was valid, under its public key. It hears of a change only if the
Peer was valid before and is valid now, and of a deletion only if it was valid to the end. So an
invalid Peer is made valid first, which no agent hears, and then changed or deleted, which all do.
(From the behaviour of Kilo 0.7's agent.)

Writing a Peer and knowing what became of it, also where the answer was lost on its way.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import (
    AnswerError,
    ClusterError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    OverloadedError,
    UnreachableError,
)
from kgctl.kilo import PREFIX
from kgctl.mesh.key import PublicKey
from kgctl.mesh.peer import InvalidPeer
from kgctl.mesh.text import printable
from kgctl.state.peer_objects import peer_of

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


MARK = f"{PREFIX}kgctl-mending"
"""The annotation that the first of two writes has, for the second to be a change."""

_ATTEMPTS = 12


class Mended(NamedTuple):
    """An invalid Peer that is made valid.

    ``key`` is the one that agents know it by, or None where that cannot be read: then they keep
    what they knew until they restart. ``silently`` is whether it could not be made valid before
    it was deleted, for want of rights.
    """

    key: PublicKey | None
    silently: bool = False


def mended(peer: Object) -> Mended | None:
    """Return what is known of an invalid Peer, or None if it is valid."""
    if not isinstance(peer_of(peer), InvalidPeer):
        return None
    text = spec_of(peer).get("publicKey")
    return Mended(PublicKey.parse(text) if isinstance(text, str) else None)


def replace(store: PeerObjects, present: Object, wanted: Object) -> Object:
    """Replace the Peer ``present`` by ``wanted``, and return it as it is stored.

    If it was invalid and becomes valid, it is written twice: first under the key that agents know
    it by, so that they drop that one if it is another.

    Raises:
        ConflictError: it was changed meanwhile.
        kgctl.edit.peer_writes.UnfinishedError: it is not known whether it was changed.
        ClusterError: it was refused.
    """
    wanted = _marked(wanted, None)
    before = mended(present)
    if before is None or mended(wanted) is not None:
        return sure(partial(store.replace, wanted), store, wanted)
    old = {} if before.key is None else {"publicKey": str(before.key)}
    first = _marked({**wanted, "spec": {**spec_of(wanted), **old}}, "true")
    stored = sure(partial(store.replace, first), store, first)
    second = _marked({**stored, "spec": spec_of(wanted)}, None)
    result = sure(partial(store.replace, second), store, second)
    if MARK in _annotations(result):  # the answer was lost, and so was the write
        raise ConflictError("the second change of the peer was lost on its way", 409)
    return result


def delete(store: PeerObjects, name: str) -> Mended | None:
    """Delete the Peer ``name``; one that is invalid is made valid and empty first.

    Returns:
        What was known of an invalid Peer; None if it was valid.

    Raises:
        NotFoundError: there is no such Peer.
        ConflictError: it is changed all the time.
        ClusterError: it cannot be deleted.
    """
    for _ in range(_ATTEMPTS):
        present = store.get(name)
        found = mended(present)
        try:
            if found is not None:
                found = _emptied(store, present, found)
            store.delete(name, uid=present["metadata"].get("uid"))
        except ConflictError:
            continue
        return found
    raise ConflictError(f"the peer {name} is changed all the time", 409)


def _emptied(store: PeerObjects, present: Object, found: Mended) -> Mended:
    if found.key is None:
        return found
    empty = {**present, "spec": {"publicKey": str(found.key), "allowedIPs": []}}
    try:
        sure(partial(store.replace, empty), store, empty)
    except ForbiddenError:
        return found._replace(silently=True)
    return found


def _annotations(peer: Object) -> Object:
    found = peer["metadata"].get("annotations")
    return found if isinstance(found, dict) else {}


def _marked(peer: Object, value: str | None) -> Object:
    """Return the Peer with the mark, or without it; all else stays."""
    annotations = {key: text for key, text in _annotations(peer).items() if key != MARK}
    if value is not None:
        annotations[MARK] = value
    metadata = {key: one for key, one in peer["metadata"].items() if key != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    return {**peer, "metadata": metadata}
