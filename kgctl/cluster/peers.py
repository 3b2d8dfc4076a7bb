"""Peer objects one by one: read, created, changed and deleted, without losing others' changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.cluster.errors import AnswerError, ClusterError, NotFoundError
from kgctl.cluster.lists import JSON, PEERS
from kgctl.cluster.singly import DRY_RUN, decoded_object, object_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.cluster.client import Api

APPLY_PATCH = "application/apply-patch+yaml"
"""Server-Side Apply; JSON is YAML, too."""

FIELD_MANAGER = "kgctl"
MERGE_PATCH = "application/merge-patch+json"
"""RFC 7386: members replace their like, null removes them, lists are replaced whole."""


_UNSUPPORTED_MEDIA_TYPE = 415


class PeerObjects:
    """The Peer objects of a cluster, as decoded JSON.

    With ``dry_run`` the API server checks everything, answers as if, and stores nothing.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def get(self, name: str) -> dict[str, Any]:
        """Return the peer ``name`` as it is stored now.

        Raises:
            kgctl.cluster.errors.NotFoundError: there is none.
            kgctl.ClusterError: it cannot be read.
        """
        return self._api.get(object_path(PEERS, "peer", name), {}, JSON, decoded_object)

    def create(self, peer: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create ``peer`` and return it as it is stored.

        Raises:
            kgctl.cluster.errors.AlreadyExistsError: there is one of that name.
            kgctl.ClusterError: it was refused, or it is not known whether it was created.
        """
        return self._send("POST", PEERS, dry_run, peer)

    def replace(self, peer: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Replace the peer that was read as ``peer`` was, and return it as it is stored.

        ``metadata.resourceVersion`` says which state is replaced, so that no change of someone
        else is overwritten.

        Raises:
            kgctl.cluster.errors.ConflictError: it was changed since; read it again.
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
        """
        return self._send(
            "PUT", object_path(PEERS, "peer", str(peer["metadata"]["name"])), dry_run, peer
        )

    def patch(
        self, name: str, patch: Mapping[str, Any], *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Apply a JSON merge patch to the peer ``name``, and return it as it is stored.

        A ``metadata.resourceVersion`` in the patch makes it hold for that state only.

        Raises:
            kgctl.cluster.errors.NotFoundError: there is none.
            kgctl.cluster.errors.ConflictError: it is not in that state any more.
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
        """
        return self._send("PATCH", object_path(PEERS, "peer", name), dry_run, patch, MERGE_PATCH)

    def apply(self, peer: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Have the API server create or change ``peer`` such that its fields are these.

        Fields that it had of us before and has no more go; those of others stay, and those that
        others set otherwise become ours: Server-Side Apply. A server without it (before
        Kubernetes 1.16) is sent the whole Peer.

        Raises:
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
        """
        path = object_path(PEERS, "peer", str(peer["metadata"]["name"]))
        query = {**(DRY_RUN if dry_run else {}), "fieldManager": FIELD_MANAGER, "force": "true"}
        try:
            stored = self._api.send("PATCH", path, query, peer, APPLY_PATCH)
        except ClusterError as error:
            if getattr(error, "status", None) != _UNSUPPORTED_MEDIA_TYPE:
                raise
            return self._put(peer, dry_run=dry_run)
        if not isinstance(stored, dict):
            raise AnswerError(f"the API server answered PATCH {path} with no object")
        return stored

    def _put(self, peer: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]:
        try:
            present = self.get(str(peer["metadata"]["name"]))
        except NotFoundError:
            return self.create(peer, dry_run=dry_run)
        metadata = {**present["metadata"], **peer["metadata"]}
        return self.replace({**peer, "metadata": metadata}, dry_run=dry_run)

    def delete(
        self,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete the peer ``name``, if it still is the one of ``uid`` and ``resource_version``.

        Raises:
            kgctl.cluster.errors.NotFoundError: there is none.
            kgctl.cluster.errors.ConflictError: it is another, or was changed since.
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
        """
        wanted = {"uid": uid, "resourceVersion": resource_version}
        options: dict[str, Any] = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {key: value for key, value in wanted.items() if value is not None},
        }
        if dry_run:  # beside a body the query would not count
            options["dryRun"] = ["All"]
        self._api.send("DELETE", object_path(PEERS, "peer", name), _query(dry_run), options)

    def _send(
        self,
        method: str,
        path: str,
        dry_run: bool,
        content: Mapping[str, Any],
        content_type: str = JSON,
    ) -> dict[str, Any]:
        stored = self._api.send(method, path, _query(dry_run), content, content_type)
        if not isinstance(stored, dict):
            raise AnswerError(f"the API server answered {method} {path} with no object")
        return stored


def _query(dry_run: bool) -> dict[str, str]:
    return DRY_RUN if dry_run else {}
