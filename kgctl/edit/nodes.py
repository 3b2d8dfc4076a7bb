"""Changes of annotations on Node objects, and checks of the values that people set.

A change neither loses nor overrides concurrent changes by others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.errors import AnswerError, ClusterError, ConflictError
from kgctl.kilo import PREFIX
from kgctl.kube.lists import JSON, NODES
from kgctl.kube.objects import NodeObject
from kgctl.kube.stored import (
    DRY_RUN,
    MERGE_PATCH,
    STRATEGIC_MERGE_PATCH,
    decoded_object,
    object_path,
)
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.peer import KEEPALIVES
from kgctl.mesh.text import printable
from kgctl.state.objects import node_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.http.client import Api


_ATTEMPTS = 8  # the kubelet and Kilo's agent write to their Node all the time


class NodeObjects:
    """The Node objects of a cluster; only their annotations can be changed."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def annotate(
        self,
        name: str,
        changes: Mapping[str, str | None],
        seen: Mapping[str, str],
        *,
        dry_run: bool = False,
    ) -> None:
        """Change annotations of the node ``name``; None removes one.

        ``seen`` are the annotations that the decision was based on: if one of those to change has
        another value now, nothing is written. Other concurrent changes are kept. With ``dry_run``,
        the API server checks everything and stores nothing.

        Raises:
            kgctl.errors.NotFoundError: there is no such node.
            kgctl.errors.ConflictError: someone else changed one of the annotations.
            kgctl.ClusterError: the server refused it, or its outcome is unknown.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            metadata = self._metadata(name)
            _check_unchanged(name, changes, seen, metadata.get("annotations") or {})
            version = {"resourceVersion": metadata.get("resourceVersion")}
            patch = {"metadata": {**version, "annotations": dict(changes)}}
            query = DRY_RUN if dry_run else {}
            try:
                self._api.send("PATCH", object_path(NODES, "node", name), query, patch, MERGE_PATCH)
            except ConflictError:
                if attempt == _ATTEMPTS:
                    raise
            else:
                return

    def announce(self, name: str, changes: Mapping[str, str | None]) -> None:
        """Write annotations of the own node ``name``, whatever they are now; None removes one.

        One strategic merge patch, as Kilo's agent sends it: the right to patch nodes is enough.

        Raises:
            kgctl.errors.NotFoundError: there is no such node.
            kgctl.ClusterError: the server refused it, or its outcome is unknown.
        """
        patch = {"metadata": {"annotations": dict(changes)}}
        path = object_path(NODES, "node", name)
        self._api.send("PATCH", path, {}, patch, STRATEGIC_MERGE_PATCH)

    def _metadata(self, name: str) -> Mapping[str, Any]:
        found = self._api.get(object_path(NODES, "node", name), {}, JSON, decoded_object)
        metadata = found.get("metadata")
        if not isinstance(metadata, dict):
            raise AnswerError(f"the API server's answer for node {printable(name)} has no metadata")
        return metadata


def _check_unchanged(
    name: str, changes: Mapping[str, str | None], seen: Mapping[str, str], now: Mapping[str, str]
) -> None:
    for key in changes:
        if now.get(key) != seen.get(key):
            raise ConflictError(
                f"someone else changed {key} of node {printable(name)} meanwhile: check it again",
                409,
                "Conflict",
            )


SETTABLE: Mapping[str, str] = {
    "location": "a name",
    "leader": "true",
    "force-endpoint": "host:port or [IPv6]:port",
    "force-internal-ip": "address/prefix, or - for none",
    "persistent-keepalive": f"a number of seconds from 0 to {KEEPALIVES[-1]}",
    "allowed-location-ips": "networks such as 192.168.1.0/24, separated by commas",
}
"""The annotations for people to set, and the form of each. Kilo's agent writes the others."""

_LOCATION_LENGTH = 63


class AnnotationError(ClusterError):
    """An annotation is not for people to set, or Kilo or WireGuard would ignore its value."""


def checked(key: str, value: str | None) -> tuple[str, str | None]:
    """Return the full name of an annotation and its value in Kilo's form; None removes it.

    Kilo only checks whether ``leader`` is present, so ``false`` removes it. White space beside the
    commas of a list is removed, since Kilo would drop the entries next to it. Allowed location IPs
    lose their host bits, as in WireGuard: with them, Kilo's agents would see a difference and
    configure WireGuard again and again.

    Raises:
        AnnotationError: the annotation cannot be set, or Kilo or WireGuard would ignore the value.
    """
    name = key.removeprefix(PREFIX)
    if name not in SETTABLE:
        known = ", ".join(SETTABLE)
        raise AnnotationError(f'"{printable(name, 60)}" cannot be set; these can: {known}')
    if value is None or (name == "leader" and value == "false"):
        return PREFIX + name, None
    text = ",".join(part.strip() for part in value.split(","))
    if not _is_taken(name, text):
        raise AnnotationError(
            f'"{printable(value, 60)}" is not a valid {name}, it would be ignored: '
            f"give {SETTABLE[name]}"
        )
    if name == "allowed-location-ips":
        text = ",".join(
            str(cidr.masked()) for part in text.split(",") if (cidr := parse_cidr(part))
        )
    return PREFIX + name, text


def _is_taken(name: str, text: str) -> bool:
    if not text.isprintable():
        return False
    if name == "location":
        return len(text) <= _LOCATION_LENGTH and text == text.strip()
    if name == "leader":
        return text == "true"
    node = node_of(NodeObject("", "", {}, {PREFIX + name: text}))
    return not node.unreadable
