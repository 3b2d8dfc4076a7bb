"""Preshared keys of a mesh file: reading, generation, and the Secrets that hold them.

All Peers between two clusters have the same preshared key. Every leader of a cluster uses the key
of a Peer with the segment that the Peer stands for, and the leaders of that segment use the key of
their own Peer for the first one's segment. So Kilo cannot have a key per pair of segments.

A key that kgctl generates is kept in a Secret of both clusters. The Secret of the first cluster by
name is written first, and where the two differ it wins. So a run that was killed at any write is
completed by the next one.
"""

from __future__ import annotations

import binascii
import os
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import ClusterError
from kgctl.link.peers import linked_source, owner_labels, slug
from kgctl.link.steps import ADD, CHANGE, REMOVE, SAME, SECRET, STALE, Step
from kgctl.mesh.key import PresharedKey
from kgctl.mesh.text import printable
from kgctl.wireguard.keys import KeyFileError, generate_preshared_key, read_preshared_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kgctl.kube.stored import Object, SecretObjects
    from kgctl.link.clusters import ClusterRef
    from kgctl.link.mesh_format import MeshFile, PairKey, PresharedKeys, SecretReference
    from kgctl.link.spec import LinkSpec


DATA_KEY = "presharedKey"
"""The key in a Secret's data that holds the preshared key, in base64 as ``wg`` prints it."""

SECRET_TYPE = "kgctl.dev/preshared-key"  # noqa: S105 - a type of Secret, and no secret

Pair = frozenset[str]
"""The names of two clusters."""


class SecretError(ClusterError):
    """A Secret holds no preshared key, or kgctl did not create it."""


class SharedKey(NamedTuple):
    """The key of two clusters, and the step for the Secret of each, by cluster."""

    key: PresharedKey
    steps: Mapping[str, Step]


def secret_name(other: str) -> str:
    """Return the name of the Secret with the key for links to the cluster ``other``."""
    return f"kgctl-link-{slug(other)}"


def key_in(secret: Mapping[str, Any], data_key: str, owner: str) -> PresharedKey:
    """Return the preshared key that a Secret holds.

    Raises:
        SecretError: it holds none; the message calls the Secret ``owner``.
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
) -> SharedKey:
    """Return the key of two clusters; ``present`` has their Secrets, by cluster.

    If there is no key yet, or to ``rotate``, ``make`` generates one.

    Raises:
        SecretError: a Secret holds no key, or kgctl did not create it.
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
    return SharedKey(key, steps)


def _kept(namespace: str, cluster: str, secret: Object | None) -> PresharedKey | None:
    if secret is None:
        return None
    name = printable(str(secret["metadata"].get("name")))
    owner = f"the secret {printable(namespace)}/{name} of {printable(cluster)}"
    if linked_source(secret) is None:
        raise SecretError(f"{owner} exists, but kgctl link did not make it: rename or delete it")
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
    """Return the step for a Secret that no link needs any more; None if it is not kgctl's."""
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


GENERATE = "generate"


class LinkKeys(NamedTuple):
    """The preshared keys, by pair of clusters, and the steps for Secrets, by cluster."""

    keys: Mapping[Pair, PresharedKey]
    steps: Mapping[str, Sequence[Step]]


class KeySettings(NamedTuple):
    """The preshared key settings of a mesh file, and its path."""

    settings: PresharedKeys
    file: Path
    rotate: bool = False

    @property
    def namespace(self) -> str:
        """The namespace of the Secrets that kgctl manages."""
        return self.settings.namespace

    def keeps_secrets(self) -> bool:
        """Return whether kgctl keeps any key in Secrets."""
        modes = [self.settings.default, *(pair.mode for pair in self.settings.pairs)]
        return GENERATE in modes

    def of(self, pair: Pair) -> PairKey | None:
        """Return the entry for two clusters, or None if they have none."""
        return next((one for one in self.settings.pairs if frozenset(one.clusters) == pair), None)

    def mode(self, pair: Pair) -> str:
        """Return ``none`` or ``generate``; ``none`` for a key from a file or another Secret."""
        own = self.of(pair)
        return self.settings.default if own is None else own.mode or "none"


NO_KEYS = LinkKeys({}, {})


def key_settings(mesh: MeshFile, file: Path) -> KeySettings | None:
    """Return the preshared key settings of the file; None if it asks for no keys."""
    settings = KeySettings(mesh.keys, file)
    return settings if settings.keeps_secrets() or mesh.keys.pairs else None


def link_keys(spec: LinkSpec) -> LinkKeys:
    """Return the keys of all linked clusters, and the steps for Secrets.

    Raises:
        KgctlError: a key cannot be read.
    """
    if spec.keys is None:
        return NO_KEYS
    reader = _Reader(spec.keys, prune=spec.prune)
    for first, second in combinations(spec.clusters, 2):
        reader.take(first, second, linked=spec.layout.linked(first.name, second.name))
    return LinkKeys(reader.keys, reader.steps)


def secrets_to_remove(spec: LinkSpec) -> dict[str, list[Step]]:
    """Return the steps that remove the Secrets that kgctl manages, by cluster.

    Raises:
        KgctlError: a Secret cannot be read.
    """
    return {} if spec.keys is None else _abandoned(spec.keys, spec.clusters, prune=True)


def _abandoned(
    settings: KeySettings, clusters: Sequence[ClusterRef], *, prune: bool
) -> dict[str, list[Step]]:
    steps: dict[str, list[Step]] = {}
    live = {one.name for one in clusters if one.live}
    for one, other in permutations(clusters, 2):
        if one.name not in live:
            continue
        secret = one.secrets(settings.namespace).find(secret_name(other.name))
        step = None if secret is None else abandoned(secret, prune=prune)
        if step is not None:
            steps.setdefault(one.name, []).append(step)
    return steps


class _Reader:
    """Collects the keys of pairs of clusters, one pair at a time."""

    def __init__(self, settings: KeySettings, *, prune: bool) -> None:
        self._settings = settings
        self._prune = prune
        self.keys: dict[Pair, PresharedKey] = {}
        self.steps: dict[str, list[Step]] = {}

    def take(self, first: ClusterRef, second: ClusterRef, *, linked: bool) -> None:
        pair = frozenset((first.name, second.name))
        own = self._settings.of(pair) if linked else None
        if linked and self._settings.mode(pair) == GENERATE:
            self._keep(first, second)
            return
        if own is not None and own.file:
            self.keys[pair] = self._from_file(own.file)
        elif own is not None and own.secret:
            self.keys[pair] = self._from_secret(own.secret, (first, second))
        if self._settings.keeps_secrets():
            self._abandon(first, second)

    def _keep(self, first: ClusterRef, second: ClusterRef) -> None:
        namespace = self._settings.namespace
        present = {
            one.name: one.secrets(namespace).find(secret_name(other.name))
            for one, other in ((first, second), (second, first))
        }
        found = settled(namespace, present, generate_preshared_key, rotate=self._settings.rotate)
        self.keys[frozenset(present)] = found.key
        for name, step in found.steps.items():
            self.steps.setdefault(name, []).append(step)

    def _abandon(self, first: ClusterRef, second: ClusterRef) -> None:
        """Add steps for the Secrets of two clusters that now have another key, or none."""
        for name, steps in _abandoned(self._settings, (first, second), prune=self._prune).items():
            self.steps.setdefault(name, []).extend(steps)

    def _from_file(self, name: str) -> PresharedKey:
        from kgctl.link.mesh_file import located  # which imports msgspec

        path = located(self._settings.file, name)
        try:
            mode = path.stat().st_mode
        except OSError:
            mode = 0  # read_preshared_key raises the error
        if os.name == "posix" and mode & 0o077:
            shown = printable(str(path))
            raise KeyFileError(f"others can read the preshared key {shown}: chmod 600 {shown}")
        return read_preshared_key(path)

    def _from_secret(
        self, reference: SecretReference, clusters: tuple[ClusterRef, ClusterRef]
    ) -> PresharedKey:
        namespace = reference.namespace or self._settings.namespace
        shown = f"the secret {namespace}/{reference.name}"
        found: dict[str, PresharedKey] = {}
        for one in clusters:
            secret: Object | None = None
            if one.live:
                store: SecretObjects = one.secrets(namespace)
                secret = store.find(reference.name)
            if secret is not None:
                found[one.name] = key_in(secret, reference.key, f"{shown} of {one.name}")
        first, second = (one.name for one in clusters)
        if not found:
            raise SecretError(f"{shown} is neither in {first} nor in {second}: create it there")
        if len(set(found.values())) > 1:
            raise SecretError(f"{shown} holds different keys in {first} and {second}")
        return next(iter(found.values()))
