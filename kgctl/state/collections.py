"""The nodes and peers of an API server: lists and changes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.kilo import PEERS, PREFIX
from kgctl.kube import lists

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from kgctl.kube.http.client import Api
    from kgctl.kube.lists import Listed
    from kgctl.kube.objects import NodeObject
    from kgctl.kube.watch import Event


def list_nodes(
    api: Api,
    *,
    cached: bool = True,
    accept: str = lists.PROTOBUF,
    label: str = "",
    platform: bool = False,
) -> list[NodeObject]:
    """Return every node with Kilo's annotations; see ``kgctl.kube.lists.list_nodes``.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    return lists.list_nodes(
        api, cached=cached, accept=accept, label=label, annotation=PREFIX, platform=platform
    )


def list_peers(api: Api) -> list[Mapping[str, Any]]:
    """Return every Peer object as it is stored now.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    return lists.list_objects(api, PEERS)


def nodes_to_watch(api: Api) -> Listed[NodeObject]:
    """Return every node as it is stored now, and where to watch on from.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    return lists.nodes_to_watch(api, PREFIX)


def peers_to_watch(api: Api) -> Listed[Mapping[str, Any]]:
    """Return every Peer object as it is stored now, and where to watch on from.

    Raises:
        kgctl.ClusterError: they cannot be listed.
    """
    return lists.objects_to_watch(api, PEERS)


def watch_nodes(
    api: Api, resource_version: str, lasts: int
) -> Generator[Event[NodeObject], None, None]:
    """Yield the changes of nodes; see ``kgctl.kube.watch.watch_objects``."""
    from kgctl.kube import watch

    return watch.watch_nodes(api, resource_version, lasts, annotation=PREFIX)


def watch_peers(
    api: Api, resource_version: str, lasts: int
) -> Generator[Event[Mapping[str, Any]], None, None]:
    """Yield the changes of Peers; see ``kgctl.kube.watch.watch_objects``."""
    from kgctl.kube.watch import watch_objects

    return watch_objects(api, PEERS, resource_version, lasts)
