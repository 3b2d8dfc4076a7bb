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


Kind = Literal["nodes", "peers"]


class Objects(NamedTuple):
    """All objects of one read: Node objects, and Peer objects as decoded JSON.

    ``passed_over`` counts the objects of other kinds by ``apiVersion/Kind``; it is empty for a live
    cluster, where only nodes and peers are requested. ``unread`` has the files that a search of a
    directory skipped, by name, each with the reason. ``read_at`` is the time at which the first
    file was read, before it was parsed, in Unix seconds; 0 if unknown.
    """

    nodes: Sequence[NodeObject]
    peers: Sequence[Mapping[str, Any]]
    passed_over: Mapping[str, int]
    unread: Mapping[str, str] = MappingProxyType({})
    read_at: float = 0.0


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
