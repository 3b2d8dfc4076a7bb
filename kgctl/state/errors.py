"""Why an API server that answers gives no state of a Kilo network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.kilo import GROUP
from kgctl.kube.errors import NotServedError

if TYPE_CHECKING:
    from kgctl.kube.errors import ClusterError


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
