"""What a source of cluster state hands over, wherever the state comes from.

Why an API server that answers gives no state of a Kilo network.
"""

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
    """Everything that was read at once: Node objects, and Peer objects as decoded JSON.

    ``passed_over`` counts the objects of other kinds by ``apiVersion/Kind``; a live cluster
    is asked for nodes and peers only, so it stays empty there. ``unread`` are files that a search
    of a directory passed over, by name, each with the reason. ``read_at`` is when the first file
    was read, in Unix seconds, before it was parsed; 0 where that is not known.
    """

    nodes: Sequence[NodeObject]
    peers: Sequence[Mapping[str, Any]]
    passed_over: Mapping[str, int]
    unread: Mapping[str, str] = MappingProxyType({})
    read_at: float = 0.0


class Source(Protocol):
    """Somewhere that cluster state can be read from."""

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
    """Return what an API server's refusal means to Kilo: one of its group is one of all Peers."""
    if isinstance(error, NotServedError) and error.group == GROUP:
        return PeersNotServedError(
            f"the cluster at {error.place} knows no Kilo peers: the CustomResourceDefinition "
            f"peers.{GROUP} is not installed; is Kilo installed there, or is this another context?",
            group=error.group,
            place=error.place,
        )
    return error
