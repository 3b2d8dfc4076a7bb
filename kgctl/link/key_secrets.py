"""The preshared key of two clusters: where it is kept, and what both are to hold.

Every leader of a cluster uses the key in a Peer with the segment that this stands for, and every
leader there the key in the Peer for the first one's segment. So all Peers between two clusters
have the same key; one for each two segments could not be told to Kilo.

A key that kgctl makes is in a Secret of both clusters. The first of the two, by name, is written
first, and where they differ it is right: so whoever comes after one that was killed at any write
finishes what that one began.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.kube.errors import ClusterError
from kgctl.link.peers import linked_source, owner_labels, slug
from kgctl.link.steps import ADD, CHANGE, REMOVE, SAME, SECRET, STALE, Step
from kgctl.mesh.key import PresharedKey
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kgctl.kube.stored import Object

DATA_KEY = "presharedKey"
"""The key of a Secret's data that kgctl keeps a preshared key in, in base64 as ``wg`` has it."""

SECRET_TYPE = "kgctl.dev/preshared-key"  # noqa: S105 - a type of Secret, and no secret

Pair = frozenset[str]
"""The names of two clusters."""


class SecretError(ClusterError):
    """A Secret that is to hold a preshared key holds none, or is somebody else's."""


class PairKey(NamedTuple):
    """The key of two clusters, and what has to be done to their Secrets, by cluster."""

    key: PresharedKey
    steps: Mapping[str, Step]


def secret_name(other: str) -> str:
    """Return the name of the Secret with the key for links to the cluster ``other``."""
    return f"kgctl-link-{slug(other)}"


def key_in(secret: Mapping[str, Any], data_key: str, owner: str) -> PresharedKey:
    """Return the preshared key that a Secret holds.

    Raises:
        SecretError: it holds none; the message calls the Secret what ``owner`` says.
    """
    data = secret.get("data")
    value = data.get(data_key) if isinstance(data, dict) else None
    try:
        text = binascii.a2b_base64(value if isinstance(value, str) else "").decode("ascii").strip()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        text = ""
    key = PresharedKey.parse(text)
    if key is None:
        raise SecretError(
            f'{owner} holds no WireGuard preshared key under "{printable(data_key)}": put one '
            "there, or delete it"
        )
    return key


def settled(
    namespace: str,
    present: Mapping[str, Object | None],
    make: Callable[[], PresharedKey],
    *,
    rotate: bool = False,
) -> PairKey:
    """Return the key of two clusters, whose Secrets are ``present``, by cluster.

    ``make`` makes a new one: where there is none yet, or to ``rotate``.

    Raises:
        SecretError: a Secret holds no key, or has the name of one that kgctl keeps.
    """
    names = sorted(present)
    found = [_kept(namespace, name, present[name]) for name in names]
    known = next((key for key in found if key is not None), None)
    key = make() if rotate or known is None else known
    steps = {}
    for name, other, held in zip(names, reversed(names), found, strict=True):
        wanted = _secret(namespace, other, key, present[name])
        action = ADD if held is None else SAME if held == key else CHANGE
        fields = (DATA_KEY,) if action == CHANGE else ()
        steps[name] = Step(
            action, secret_name(other), wanted, fields, kind=SECRET, namespace=namespace
        )
    return PairKey(key, steps)


def _kept(namespace: str, cluster: str, secret: Object | None) -> PresharedKey | None:
    if secret is None:
        return None
    name = printable(str(secret["metadata"].get("name")))
    owner = f"the secret {printable(namespace)}/{name} of {printable(cluster)}"
    if linked_source(secret) is None:
        raise SecretError(f"{owner} is there, but kgctl link did not make it: rename or delete it")
    return key_in(secret, DATA_KEY, owner)


def _secret(namespace: str, other: str, key: PresharedKey, present: Object | None) -> Object:
    metadata: Object = {"name": secret_name(other), "namespace": namespace}
    if present is not None:
        metadata["resourceVersion"] = present["metadata"]["resourceVersion"]
    value = binascii.b2a_base64(key.reveal().encode("ascii"), newline=False).decode("ascii")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata, "labels": owner_labels(other)},
        "type": SECRET_TYPE,
        "data": {DATA_KEY: value},
    }


def abandoned(secret: Object, *, prune: bool) -> Step | None:
    """Return what becomes of a Secret that no link needs any more; None if it is not kgctl's."""
    if linked_source(secret) is None:
        return None
    metadata = secret["metadata"]
    return Step(
        REMOVE if prune else STALE,
        str(metadata.get("name")),
        uid=metadata.get("uid"),
        kind=SECRET,
        namespace=str(metadata.get("namespace")),
    )
