"""Secrets of one namespace, one by one, by name: they are never listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.kube.single import DRY_RUN, object_path
from kgctl.kube.stored import Object, Stored, as_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.http.client import Api


class SecretObjects(Stored):
    """The Secrets of a namespace, as decoded JSON."""

    def __init__(self, api: Api, namespace: str) -> None:
        within = object_path("/api/v1/namespaces", "namespace", namespace)
        super().__init__(api, f"{within}/secrets", "secret")

    def apply(self, wanted: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create a Secret, or replace the one whose ``metadata.resourceVersion`` this one has.

        Not by Server-Side Apply: of two that make a key at the same time, one has to lose.

        Raises:
            kgctl.kube.errors.ConflictError: somebody else created or changed it meanwhile.
            kgctl.ClusterError: it was refused, or it is not known whether it was carried out.
        """
        replaced = "resourceVersion" in wanted["metadata"]
        method = "PUT" if replaced else "POST"
        path = self._path(str(wanted["metadata"]["name"])) if replaced else self._collection
        stored = self._api.send(method, path, DRY_RUN if dry_run else {}, wanted)
        return as_object(stored, method, path)
