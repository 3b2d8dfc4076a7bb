"""The interface of sources of cluster state, and the error of a cluster without Kilo."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from kgctl.errors import NotServedError
from kgctl.kilo import GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.errors import ClusterError
    from kgctl.kube.objects import NodeObject
    from kgctl.kube.stored import Object
    from kgctl.mesh.network import Network


Kind = Literal["nodes", "peers"]


class Objects(NamedTuple):
    """All objects of one read: Node objects, and Peer objects as decoded JSON.

    ``passed_over`` counts the objects of other kinds by ``apiVersion/Kind``; it is empty for a live
    cluster, where only nodes and peers are requested. ``unread`` has the files that a search of a
    directory skipped, by name, each with the reason. ``read_at`` is the time at which the first
    file was read, before it was parsed, in Unix seconds; 0 if unknown. ``network`` is the network
    without nodes that a folder describes; None for a cluster.
    """

    nodes: Sequence[NodeObject]
    peers: Sequence[Mapping[str, Any]]
    passed_over: Mapping[str, int]
    unread: Mapping[str, str] = MappingProxyType({})
    read_at: float = 0.0
    network: Network | None = None


class Source(Protocol):
    """A source that cluster state can be read from."""

    def read(self) -> Objects:
        """Read the nodes and peers, once.

        Raises:
            kgctl.ClusterError: the state cannot be read; the message says what to do.
        """
        ...

    def names(self, kind: Kind) -> Sequence[str]:
        """Return the names of all objects of one kind, as cheaply as the source can.

        Raises:
            kgctl.ClusterError: the state cannot be read.
        """
        ...


class PeerStore(Protocol):
    """A store of Peer objects, as decoded JSON, that loses no changes by others.

    ``metadata.resourceVersion`` of an object is its version. With ``dry_run``, a write is checked
    and answered as usual, but nothing is stored.
    """

    def get(self, name: str) -> Object:
        """Return the Peer ``name`` as stored now.

        Raises:
            kgctl.errors.NotFoundError: it does not exist.
            kgctl.ClusterError: it cannot be read.
        """
        ...

    def create(self, peer: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create ``peer`` and return it as stored.

        Raises:
            kgctl.errors.AlreadyExistsError: a peer with this name exists.
            kgctl.ClusterError: it is refused, or its outcome is unknown.
        """
        ...

    def replace(self, peer: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Replace the version of ``peer`` that it was made from, and return it as stored.

        Raises:
            kgctl.errors.ConflictError: it was changed since; read it again.
            kgctl.ClusterError: it is refused, or its outcome is unknown.
        """
        ...

    def patch(self, name: str, patch: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Apply a JSON merge patch to the peer ``name``, and return it as stored.

        Raises:
            kgctl.errors.NotFoundError: there is no such peer.
            kgctl.errors.ConflictError: the patch names another version.
            kgctl.ClusterError: it is refused, or its outcome is unknown.
        """
        ...

    def delete(
        self,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete the Peer ``name``, if it still has this ``uid`` and ``resource_version``.

        Raises:
            kgctl.errors.NotFoundError: it does not exist.
            kgctl.errors.ConflictError: it was replaced or changed since.
            kgctl.ClusterError: it is refused, or its outcome is unknown.
        """
        ...


class PeersNotServedError(NotServedError):
    """404 on the API group of Peers: their CustomResourceDefinition is not installed."""


def about_kilo(error: ClusterError) -> ClusterError:
    """Return the error for an API server's refusal: without Kilo's API group, no Peers exist."""
    if isinstance(error, NotServedError) and error.group == GROUP:
        return PeersNotServedError(
            f"the cluster at {error.place} has no Kilo peers: the CustomResourceDefinition "
            f"peers.{GROUP} is not installed; install Kilo there, or check the context",
            group=error.group,
            place=error.place,
        )
    return error
