"""Annotations of Node objects: read and changed, without losing or overriding others' changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.kube.errors import AnswerError, ConflictError
from kgctl.kube.lists import JSON, NODES
from kgctl.kube.single import DRY_RUN, decoded_object, object_path
from kgctl.kube.stored import MERGE_PATCH
from kgctl.mesh.text import printable

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
            kgctl.kube.errors.NotFoundError: there is no such node.
            kgctl.kube.errors.ConflictError: someone else changed one of the annotations.
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
