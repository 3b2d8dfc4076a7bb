"""Writes of Peers that Kilo's agents notice, with a known outcome even if an answer is lost.

An agent keeps the last valid state of a Peer, under its public key. It notices a change only if the
Peer was valid before and is valid now, and a deletion only if the Peer was valid to the end. So an
invalid Peer is first made valid, which no agent notices, and then changed or deleted, which all
notice. (From the behaviour of Kilo 0.7's agent.)
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
    from kgctl.state.interface import PeerStore


_UNANSWERED = (UnreachableError, OverloadedError, AnswerError)


class UnfinishedError(ClusterError):
    """A write may have reached the cluster: keep what belongs to it, such as a private key."""


def sure(write: Callable[[], Object], store: PeerStore, wanted: Object) -> Object:
    """Carry out a write and return the Peer as stored.

    A write is sent once. If no answer came, the Peer is read: the write was carried out if the
    Peer is as ``wanted``.

    Raises:
        UnfinishedError: it is unknown whether the write was carried out.
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
                f"{error}; it is unknown whether the peer {printable(name)} was written: check "
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


def withdraw(store: PeerStore, stored: Object, error: BaseException) -> None:
    """Delete a Peer that ``error`` left unfinished, unless another one replaced it meanwhile.

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
            f"{str(error) or 'interrupted'}; the peer {printable(name)} could not be removed: "
            f"kgctl peer rm {printable(name)}"
        ) from error


def with_settings(peer: Object, settings: Mapping[str, str | None]) -> Object:
    """Return the Peer with these annotations set; those that are None are removed."""
    if not settings:
        return peer
    merged = {**annotations_of(peer), **settings}
    annotations = {key: text for key, text in merged.items() if text is not None}
    metadata = {key: one for key, one in peer["metadata"].items() if key != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    return {**peer, "metadata": metadata}


MARK = f"{PREFIX}kgctl-mending"
"""The annotation that the first of two writes sets, so that the second one is a change."""

_ATTEMPTS = 12


class Mended(NamedTuple):
    """An invalid Peer to make valid.

    ``key`` is the one that agents know it by, or None if its public key is invalid: then agents
    keep the last valid Peer until they restart. ``silently`` is true if it was deleted while
    invalid, because the credentials may not update it.
    """

    key: PublicKey | None
    silently: bool = False


def mended(peer: Object) -> Mended | None:
    """Return the key of an invalid Peer as ``Mended``, or None if the Peer is valid to Kilo."""
    found = peer_of(peer)
    if not isinstance(found, InvalidPeer) or found.only_kilo_accepts_it:
        return None
    text = spec_of(peer).get("publicKey")
    return Mended(PublicKey.parse(text) if isinstance(text, str) else None)


def replace(store: PeerStore, present: Object, wanted: Object) -> Object:
    """Replace the Peer ``present`` by ``wanted``, and return it as stored.

    If it was invalid and becomes valid, it is written twice: first with the key that agents know
    it by, so that they drop this key if the new one differs.

    Raises:
        ConflictError: it was changed meanwhile.
        kgctl.edit.peer_writes.UnfinishedError: it is unknown whether it was changed.
        ClusterError: the server refused it.
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
    if MARK in annotations_of(result):  # the answer was lost, and so was the write
        raise ConflictError("the second write of the peer was lost", 409)
    return result


class UnwantedError(ClusterError):
    """A Peer changed meanwhile, so that it is not to be deleted."""


def delete(
    store: PeerStore, name: str, wanted: Callable[[Object], bool] = lambda _peer: True
) -> Mended | None:
    """Delete the Peer ``name`` if it is ``wanted``; an invalid one is first made valid and empty.

    Returns:
        The ``Mended`` of an invalid Peer; None if the Peer was valid.

    Raises:
        UnwantedError: the Peer as stored now is not ``wanted``.
        NotFoundError: there is no such Peer.
        ConflictError: it keeps changing.
        ClusterError: it cannot be deleted.
    """
    for _ in range(_ATTEMPTS):
        present = store.get(name)
        if not wanted(present):
            raise UnwantedError(f"the peer {printable(name)} changed meanwhile")
        found = mended(present)
        try:
            if found is not None:
                found = _emptied(store, present, found)
            store.delete(name, uid=present["metadata"].get("uid"))
        except ConflictError:
            continue
        return found
    raise ConflictError(f"the peer {name} keeps changing", 409)


def _emptied(store: PeerStore, present: Object, found: Mended) -> Mended:
    if found.key is None:
        return found
    empty = {**present, "spec": {"publicKey": str(found.key), "allowedIPs": []}}
    try:
        sure(partial(store.replace, empty), store, empty)
    except ForbiddenError:
        return found._replace(silently=True)
    return found


def annotations_of(peer: Object) -> Object:
    """Return the annotations of a Peer; none where it has no mapping of them."""
    found = peer["metadata"].get("annotations")
    return found if isinstance(found, dict) else {}


def _marked(peer: Object, value: str | None) -> Object:
    """Return the Peer with its mark set to ``value``, or removed if that is None."""
    return with_settings(peer, {MARK: value})
