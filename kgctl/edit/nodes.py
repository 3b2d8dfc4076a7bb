"""Annotations of Node objects: read and changed, without losing or overriding others' changes.

The annotations that people write on a node, checked before they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.errors import AnswerError, ClusterError, ConflictError
from kgctl.kilo import PREFIX
from kgctl.kube.lists import JSON, NODES
from kgctl.kube.objects import NodeObject
from kgctl.kube.stored import DRY_RUN, MERGE_PATCH, decoded_object, object_path
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.text import printable
from kgctl.state.objects import node_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.http.client import Api


_ATTEMPTS = 8  # a kubelet and Kilo's agent write to their node all the time


class NodeObjects:
    """The Node objects of a cluster, of which only annotations are ever changed."""

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

        ``seen`` are the annotations that the change was decided on: where one of those that change
        is another by now, nothing is written. Everything else that changes meanwhile stays.
        With ``dry_run`` the API server checks everything and stores nothing.

        Raises:
            kgctl.errors.NotFoundError: there is no such node.
            kgctl.errors.ConflictError: someone else changed one of the annotations.
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
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

    def _metadata(self, name: str) -> Mapping[str, Any]:
        found = self._api.get(object_path(NODES, "node", name), {}, JSON, decoded_object)
        metadata = found.get("metadata")
        if not isinstance(metadata, dict):
            raise AnswerError(f"the API server answered for node {printable(name)} with no object")
        return metadata


def _check_unchanged(
    name: str, changes: Mapping[str, str | None], seen: Mapping[str, str], now: Mapping[str, str]
) -> None:
    for key in changes:
        if now.get(key) != seen.get(key):
            raise ConflictError(
                f"someone else changed {key} of node {printable(name)} meanwhile: look at it again",
                409,
                "Conflict",
            )


SETTABLE: Mapping[str, str] = {
    "location": "a name",
    "leader": "true, or nothing",
    "force-endpoint": "host:port or [IPv6]:port",
    "force-internal-ip": "address/prefix, or - for none",
    "persistent-keepalive": "a number of seconds",
    "allowed-location-ips": "networks as 192.168.1.0/24, separated by commas",
}
"""The annotations that are people's to write, and what each holds. The rest is Kilo's agent's."""

_LOCATION_LENGTH = 63
_MOST_SECONDS = 65535


class AnnotationError(ClusterError):
    """An annotation is not one that people write, or Kilo would not take its value."""


def checked(key: str, value: str | None) -> tuple[str, str | None]:
    """Return the whole name of an annotation and its value as Kilo takes it; None removes it.

    ``leader`` counts by its presence, so that ``false`` removes it. White space beside the commas
    of a list is left out: Kilo would drop what stands next to it. Allowed location IPs lose their
    host bits, as in WireGuard, which Kilo's agents would set again and again for want of them.

    Raises:
        AnnotationError: Kilo would ignore it.
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
            f'"{printable(value, 60)}" is no {name}: Kilo would ignore it; it is {SETTABLE[name]}'
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
    if name == "persistent-keepalive":
        return not node.unreadable and 0 <= node.persistent_keepalive <= _MOST_SECONDS
    return not node.unreadable
