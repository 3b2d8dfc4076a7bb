"""Secrets of one namespace, one by one, by name: they are never listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kgctl.cluster.errors import NotFoundError
from kgctl.cluster.lists import JSON
from kgctl.cluster.singly import decoded_object, object_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.cluster.client import Api

Object = dict[str, Any]


class SecretObjects:
    """The Secrets of a namespace, as decoded JSON."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._collection = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"

    def find(self, name: str) -> Object | None:
        """Return the Secret ``name`` as it is stored now, or None if there is none.

        Raises:
            kgctl.ClusterError: it cannot be read.
        """
        try:
            return self._api.get(self._path(name), {}, JSON, decoded_object)
        except NotFoundError as error:
            if not error.reason:  # not even an API server's word
                raise
            return None

    def apply(self, secret: Mapping[str, Any]) -> None:
        """Create a Secret, or replace the one whose ``metadata.resourceVersion`` this one has.

        Raises:
            kgctl.cluster.errors.ConflictError: somebody else created or changed it meanwhile.
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
        """
        if "resourceVersion" in secret["metadata"]:
            self._api.send("PUT", self._path(secret["metadata"]["name"]), {}, secret)
        else:
            self._api.send("POST", self._collection, {}, secret)

    def delete(self, name: str, *, uid: str | None = None) -> None:
        """Delete the Secret ``name``, if it still is the one of ``uid``.

        Raises:
            kgctl.cluster.errors.NotFoundError: there is none.
            kgctl.cluster.errors.ConflictError: it is another.
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
        """
        preconditions = {} if uid is None else {"uid": uid}
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
        self._api.send("DELETE", self._path(name), {}, options)

    def _path(self, name: str) -> str:
        return object_path(self._collection, "secret", name)
