"""The store of Peer objects: reads and writes that do not lose changes by others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.kilo import PEERS
from kgctl.kube.lists import JSON
from kgctl.kube.stored import DRY_RUN, MERGE_PATCH, Stored, as_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.http.client import Api


class PeerObjects(Stored):
    """The Peer objects of a cluster, as decoded JSON.

    With ``dry_run``, the API server checks the write and answers as usual, but stores nothing.
    """

    def __init__(self, api: Api) -> None:
        super().__init__(api, PEERS, "peer")

    def create(self, peer: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create ``peer`` and return it as stored.

        Raises:
            kgctl.errors.AlreadyExistsError: a peer with this name exists.
            kgctl.ClusterError: the server refused it, or its outcome is unknown.
        """
        return self._send("POST", PEERS, dry_run, peer)

    def replace(self, peer: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Replace the stored peer by ``peer``, and return it as stored.

        ``metadata.resourceVersion`` is the version to replace, so that no change by someone else
        is overwritten.

        Raises:
            kgctl.errors.ConflictError: it was changed since; read it again.
            kgctl.ClusterError: the server refused it, or its outcome is unknown.
        """
        return self._send("PUT", self._path(str(peer["metadata"]["name"])), dry_run, peer)

    def patch(
        self, name: str, patch: Mapping[str, Any], *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Apply a JSON merge patch to the peer ``name``, and return it as stored.

        With a ``metadata.resourceVersion``, the patch applies only to that version.

        Raises:
            kgctl.errors.NotFoundError: there is no such peer.
            kgctl.errors.ConflictError: the peer has another version.
            kgctl.ClusterError: the server refused it, or its outcome is unknown.
        """
        return self._send("PATCH", self._path(name), dry_run, patch, MERGE_PATCH)

    def _send(
        self,
        method: str,
        path: str,
        dry_run: bool,
        content: Mapping[str, Any],
        content_type: str = JSON,
    ) -> dict[str, Any]:
        stored = self._api.send(method, path, _query(dry_run), content, content_type)
        return as_object(stored, method, path)


def _query(dry_run: bool) -> dict[str, str]:
    return DRY_RUN if dry_run else {}
