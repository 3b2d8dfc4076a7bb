"""Objects of one collection: Server-Side Apply, and the deletion of just the one that was read.

One object of the API server: where it is, and its JSON.

Secrets of one namespace, one by one, by name: they are never listed.
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
"""The query by which the API server checks everything, answers as if, and stores nothing."""


def object_path(collection: str, kind: str, name: str) -> str:
    """Return the path of the object ``name`` below that of its collection.

    Raises:
        NotFoundError: no object can be called so.
    """
    if not name.strip("."):  # in a path, "" and dots would lead elsewhere
        raise NotFoundError(f'there is no {kind} named "{printable(name)}"', 404, "NotFound")
    return f"{collection}/{quote(name, safe='')}"


def decoded_object(body: Body) -> dict[str, Any]:
    """Return the object that an answer holds.

    Raises:
        kgctl.errors.AnswerError: it holds none.
    """
    found = body.json()
    if not isinstance(found, dict):
        raise body.unreadable(b"")
    return found


Object = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
"""RFC 7386: members replace their like, null removes them, lists are replaced whole."""

APPLY_PATCH = "application/apply-patch+yaml"
"""Server-Side Apply; JSON is YAML, too."""

FIELD_MANAGER = "kgctl"

_UNSUPPORTED_MEDIA_TYPE = 415


class Stored:
    """The objects of a collection, such as ``/api/v1/namespaces/shop/services``, as decoded JSON.

    ``kind`` is what an object is called in messages.
    """

    def __init__(self, api: Api, collection: str, kind: str) -> None:
        self._api = api
        self._collection = collection
        self._kind = kind

    def get(self, name: str) -> Object:
        """Return the object ``name`` as it is stored now.

        Raises:
            kgctl.errors.NotFoundError: there is none.
            kgctl.ClusterError: it cannot be read.
        """
        return self._api.get(self._path(name), {}, JSON, decoded_object)

    def find(self, name: str) -> Object | None:
        """Return the object ``name`` as it is stored now, or None if there is none.

        Raises:
            kgctl.ClusterError: it cannot be read.
        """
        try:
            return self.get(name)
        except NotFoundError as error:
            if not error.reason:  # not even an API server's word
                raise
            return None

    def apply(self, wanted: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Have the API server create or change an object such that its fields are these.

        Fields that it had of us before and has no more go; those of others stay, and those that
        others set otherwise become ours: Server-Side Apply. A server without it (before
        Kubernetes 1.16) is sent the whole object.

        Raises:
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
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
        """Delete the object ``name``, if it still is the one of ``uid`` and ``resource_version``.

        Raises:
            kgctl.errors.NotFoundError: there is none.
            kgctl.errors.ConflictError: it is another, or was changed since.
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
        """
        wanted = {"uid": uid, "resourceVersion": resource_version}
        options: Object = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {key: value for key, value in wanted.items() if value is not None},
        }
        if dry_run:  # beside a body the query would not count
            options["dryRun"] = ["All"]
        self._api.send("DELETE", self._path(name), DRY_RUN if dry_run else {}, options)

    def _path(self, name: str) -> str:
        return object_path(self._collection, self._kind, name)


def as_object(stored: object, method: str, path: str) -> Object:
    """Return an answer that has to be an object.

    Raises:
        AnswerError: it is none.
    """
    if not isinstance(stored, dict):
        raise AnswerError(f"the API server answered {method} {path} with no object")
    return stored


class SecretObjects(Stored):
    """The Secrets of a namespace, as decoded JSON."""

    def __init__(self, api: Api, namespace: str) -> None:
        within = object_path("/api/v1/namespaces", "namespace", namespace)
        super().__init__(api, f"{within}/secrets", "secret")

    def apply(self, wanted: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create a Secret, or replace the one whose ``metadata.resourceVersion`` this one has.

        Not by Server-Side Apply: of two that make a key at the same time, one has to lose.

        Raises:
            kgctl.errors.ConflictError: somebody else created or changed it meanwhile.
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
        """
        replaced = "resourceVersion" in wanted["metadata"]
        method = "PUT" if replaced else "POST"
        path = self._path(str(wanted["metadata"]["name"])) if replaced else self._collection
        stored = self._api.send(method, path, DRY_RUN if dry_run else {}, wanted)
        return as_object(stored, method, path)
