"""The fields of a Peer object, and what was meant by a field that it does not have.

An API server drops such a field, or ``kubectl apply`` refuses the object, by the schema of Kilo's
CustomResourceDefinition: https://kilo.squat.ai/docs/api
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kgctl.mesh.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_METADATA: Final = frozenset({
    "annotations", "clusterName", "creationTimestamp", "deletionGracePeriodSeconds",
    "deletionTimestamp", "finalizers", "generateName", "generation", "labels",
    "managedFields", "name", "namespace", "ownerReferences", "resourceVersion",
    "selfLink", "uid",
})  # fmt: skip
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"apiVersion", "kind", "metadata", "spec", "status"}),
    "metadata": _METADATA,
    "spec": frozenset(
        {"allowedIPs", "endpoint", "persistentKeepalive", "presharedKey", "publicKey"}
    ),
    "spec.endpoint": frozenset({"dnsOrIP", "port"}),
    "spec.endpoint.dnsOrIP": frozenset({"dns", "ip"}),
}
"""The fields of each mapping in a Peer. Labels, annotations and the like may have any."""

_OTHER_WORDS: Final = {
    "address": "spec.allowedIPs",
    "addresses": "spec.allowedIPs",
    "host": "spec.endpoint.dnsOrIP.dns",
    "hostname": "spec.endpoint.dnsOrIP.dns",
    "keepalive": "spec.persistentKeepalive",
    "psk": "spec.presharedKey",
}
"""What people call fields."""

_MOST = 20  # that are named of one Peer


def unknown_fields(peer: Mapping[str, Any]) -> list[str]:
    """Return for each field that a Peer cannot have a clause that names it and what was meant."""
    found = list(_unknown("", peer))
    if len(found) > _MOST:
        return [*found[:_MOST], f"{len(found) - _MOST} more fields are unknown"]
    return found


def _unknown(path: str, mapping: object) -> Iterator[str]:
    if not isinstance(mapping, dict):
        return
    known = _FIELDS[path]
    if not known.issuperset(mapping):
        for name in mapping:
            if name not in known:
                yield f"{_joined(path, printable(str(name), 60))} is unknown{_hint(path, name)}"
    for inner in _FIELDS:
        parent, _, name = inner.rpartition(".")
        if inner and parent == path and name in mapping:
            yield from _unknown(inner, mapping[name])


def _hint(path: str, name: str) -> str:
    """Return what was meant: a field here, one elsewhere by that name, or one like it here."""
    word = _plain(name)
    here = {_plain(one): _joined(path, one) for one in _FIELDS[path]}
    meant = here.get(word) or _PLACES.get(word)
    if meant is None and (near := nearest(word, here)):
        meant = here[near]
    return f": did you mean {meant}?" if meant else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_PLACES: Final = _OTHER_WORDS | {
    _plain(name): _joined(path, name) for path, names in _FIELDS.items() for name in names
}
"""Where each field is, by its plain name."""
