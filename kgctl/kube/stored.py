"""Stores of the objects in one collection: read, apply and delete single objects by name.

Objects are written by Server-Side Apply; a deletion is limited to the object that was read. Secrets
are never listed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kgctl.errors import AnswerError, ClusterError, NotFoundError
from kgctl.kube.lists import JSON
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.http.client import Api, Body


DRY_RUN = {"dryRun": "All"}
"""The query for a dry run: the API server checks the write and answers, but stores nothing."""


def object_path(collection: str, kind: str, name: str) -> str:
    """Return the path of the object ``name`` in its collection.

    Raises:
        NotFoundError: no object can have this name.
    """
    if not name.strip("."):  # in a path, "" and dots lead elsewhere
        raise NotFoundError(f'there is no {kind} named "{printable(name)}"', 404, "NotFound")
    return f"{collection}/{quote(name, safe='')}"


def decoded_object(body: Body) -> dict[str, Any]:
    """Return the object in an answer.

    Raises:
        kgctl.errors.AnswerError: the answer is not an object.
    """
    found = body.json()
    if not isinstance(found, dict):
        raise body.unreadable(b"")
    return found


Object = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
"""RFC 7386: members replace those of the same name, null removes them, lists are replaced whole."""

STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
"""As a merge patch, but lists of Kubernetes' own types are merged by key."""

APPLY_PATCH = "application/apply-patch+yaml"
"""Server-Side Apply; JSON is also YAML."""

FIELD_MANAGER = "kgctl"

_UNSUPPORTED_MEDIA_TYPE = 415


class Stored:
    """The objects of a collection, such as ``/api/v1/namespaces/shop/services``, as decoded JSON.

    ``kind`` is the name of the kind in messages.
    """

    def __init__(self, api: Api, collection: str, kind: str) -> None:
        self._api = api
        self._collection = collection
        self._kind = kind

    def get(self, name: str) -> Object:
        """Return the object ``name`` as stored now.

        Raises:
            kgctl.errors.NotFoundError: it does not exist.
            kgctl.ClusterError: it cannot be read.
        """
        return self._api.get(self._path(name), {}, JSON, decoded_object)

    def find(self, name: str) -> Object | None:
        """Return the object ``name`` as stored now, or None if it does not exist.

        Raises:
            kgctl.ClusterError: it cannot be read.
        """
        try:
            return self.get(name)
        except NotFoundError as error:
            if not error.reason:  # this is not an API server's answer
                raise
            return None

    def apply(self, wanted: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create an object, or change its fields to the wanted ones, by Server-Side Apply.

        Fields that kgctl set before and that are no longer wanted are removed. Fields of others
        stay, unless they conflict: then kgctl takes them over. For a server without Server-Side
        Apply (before Kubernetes 1.16), the whole object is sent.

        Raises:
            kgctl.ClusterError: the server refused it, or its outcome is unknown.
        """
        path = self._path(str(wanted["metadata"]["name"]))
        query = {**(DRY_RUN if dry_run else {}), "fieldManager": FIELD_MANAGER, "force": "true"}
        try:
            stored = self._api.send("PATCH", path, query, wanted, APPLY_PATCH)
        except ClusterError as error:
            if getattr(error, "status", None) != _UNSUPPORTED_MEDIA_TYPE:
                raise
            return self._put(wanted, path, DRY_RUN if dry_run else {})
        return as_object(stored, "PATCH", path)

    def _put(self, wanted: Mapping[str, Any], path: str, query: Mapping[str, str]) -> Object:
        try:
            present = self.get(str(wanted["metadata"]["name"]))
        except NotFoundError:
            stored = self._api.send("POST", self._collection, query, wanted)
            return as_object(stored, "POST", self._collection)
        metadata = {**present["metadata"], **wanted["metadata"]}
        stored = self._api.send("PUT", path, query, {**wanted, "metadata": metadata})
        return as_object(stored, "PUT", path)

    def delete(
        self,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete the object ``name``, if it still has this ``uid`` and ``resource_version``.

        Raises:
            kgctl.errors.NotFoundError: it does not exist.
            kgctl.errors.ConflictError: it was replaced or changed since.
            kgctl.ClusterError: the server refused it, or its outcome is unknown.
        """
        wanted = {"uid": uid, "resourceVersion": resource_version}
        options: Object = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {key: value for key, value in wanted.items() if value is not None},
        }
        if dry_run:  # with a body, the query is ignored
            options["dryRun"] = ["All"]
        self._api.send("DELETE", self._path(name), DRY_RUN if dry_run else {}, options)

    def _path(self, name: str) -> str:
        return object_path(self._collection, self._kind, name)


def as_object(stored: object, method: str, path: str) -> Object:
    """Return an answer, which must be an object.

    Raises:
        AnswerError: it is not.
    """
    if not isinstance(stored, dict):
        raise AnswerError(f"the API server's answer to {method} {path} is not an object")
    return stored


class SecretObjects(Stored):
    """The Secrets of a namespace, as decoded JSON."""

    def __init__(self, api: Api, namespace: str) -> None:
        within = object_path("/api/v1/namespaces", "namespace", namespace)
        super().__init__(api, f"{within}/secrets", "secret")

    def apply(self, wanted: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create a Secret, or replace the one with the same ``metadata.resourceVersion``.

        This is not Server-Side Apply: of two writers that make a key at the same time, one must
        fail.

        Raises:
            kgctl.errors.ConflictError: somebody else created or changed it meanwhile.
            kgctl.ClusterError: the server refused it, or its outcome is unknown.
        """
        replaced = "resourceVersion" in wanted["metadata"]
        method = "PUT" if replaced else "POST"
        path = self._path(str(wanted["metadata"]["name"])) if replaced else self._collection
        stored = self._api.send(method, path, DRY_RUN if dry_run else {}, wanted)
        return as_object(stored, method, path)
