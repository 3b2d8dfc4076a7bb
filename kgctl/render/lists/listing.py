"""Nodes, peers and segments as rows of a table and as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.kilo import GROUP
from kgctl.mesh.readiness import age, why_not_ready, why_peer_not_ready
from kgctl.mesh.text import printable, time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kgctl.mesh.links import ClusterLink, Linked
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import InvalidPeer, Peer
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Segment, Topology

NOTHING = "-"
"""The cell of an absent value."""

_CELL_LIMIT = 1000

Item = dict[str, Any]


class Column(NamedTuple):
    """A column of a table: its title, and the key or the function that gives an item's value.

    ``wide`` columns are only shown with ``-o wide``. On a narrow terminal the ``spare`` ones are
    omitted, those with the highest number first.
    """

    title: str
    value: str | Callable[[Item], object]
    wide: bool = False
    spare: int = 0

    def cell(self, item: Item) -> str:
        """Return the cell of ``item``: one printable line."""
        value = item.get(self.value) if isinstance(self.value, str) else self.value(item)
        if value is None or value in ("", []):
            return NOTHING
        if isinstance(value, bool):
            return "yes" if value else "no"
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        return printable(text, _CELL_LIMIT)


class Listing(NamedTuple):
    """Objects of one kind: the columns of a table, and ``items`` with all data.

    ``kind`` is the prefix of the name with ``-o name``.
    """

    plural: str
    kind: str
    columns: tuple[Column, ...]
    items: tuple[Item, ...]

    def titles(self, *, wide: bool) -> list[str]:
        """Return the titles of the columns."""
        return [column.title for column in self._shown(wide)]

    def rows(self, *, wide: bool) -> list[list[str]]:
        """Return the cells of each object."""
        columns = self._shown(wide)
        return [[column.cell(item) for column in columns] for item in self.items]

    def names(self) -> list[str]:
        """Return the objects as kubectl's ``-o name`` does."""
        return [
            f"{printable(item['cluster'])}/{self.kind}/{printable(item['name'])}"
            if "cluster" in item
            else f"{self.kind}/{printable(item['name'])}"
            for item in self.items
        ]

    def _shown(self, wide: bool) -> list[Column]:
        return [column for column in self.columns if wide or not column.wide]


def list_nodes(
    state: State, topology: Topology | None, now: float, *, present: float | None = None
) -> Listing:
    """List every node, ready or not at ``now``; without a topology no node has a segment.

    Ages are relative to ``present``, or to ``now`` if it is None; both are in Unix seconds.
    """
    places = {
        node.name: segment
        for segment in (() if topology is None else topology.segments)
        for node in segment.nodes
    }
    times = now, now if present is None else present
    items = tuple(_node_item(node, places.get(node.name), *times) for node in state.nodes)
    return Listing("nodes", "node", _NODE_COLUMNS, items)


def list_peers(state: State, now: float) -> Listing:
    """List every peer, valid or not, with the allowed IPs and endpoint of its object.

    A peer that has expired at ``now``, in Unix seconds, is not ready.
    """
    valid = [_peer_item(peer, now) for peer in state.peers]
    invalid = [_invalid_peer_item(peer) for peer in state.invalid_peers]
    items = sorted(valid + invalid, key=lambda item: str(item["name"]))
    return Listing("peers", f"peer.{GROUP}", _PEER_COLUMNS, tuple(items))


def list_segments(topology: Topology) -> Listing:
    """List the segments of the network, in topology order."""
    return Listing(
        "segments", "segment", _SEGMENT_COLUMNS, tuple(map(_segment_item, topology.segments))
    )


def together(listings: Mapping[str, Listing]) -> Listing:
    """Merge lists of one kind; each object gets its ``cluster`` as first field."""
    first = next(iter(listings.values()))
    items = tuple(
        {"cluster": cluster, **item}
        for cluster, listing in listings.items()
        for item in listing.items
    )
    columns = (Column("CLUSTER", "cluster"), *first.columns)
    return first._replace(columns=columns, items=items)


def with_links(listing: Listing, linked: Linked) -> Listing:
    """Add to the peers of several clusters the segments of other clusters that they stand for."""
    found = {(link.holder, link.peer.name): link for link in linked.links}
    items = tuple(
        {**item, "link": _link_item(found.get((item["cluster"], item["name"])))}
        for item in listing.items
    )
    columns = (*listing.columns[:-1], Column("LINKS-TO", _links_to, spare=6), listing.columns[-1])
    return listing._replace(columns=columns, items=items)


def _link_item(link: ClusterLink | None) -> Item | None:
    if link is None:
        return None
    segment = link.segment and link.segment.name
    return {"cluster": link.source, "segment": segment, "byHand": link.by_hand}


def _links_to(item: Item) -> str | None:
    link = item["link"]
    if link is None:
        return None
    how = " (by hand)" if link["byHand"] else ""
    return f"{link['cluster']} {link['segment'] or '(stale)'}{how}"


def _node_item(node: Node, segment: Segment | None, now: float, present: float) -> Item:
    reasons = why_not_ready(node, now, present=present)
    leads = segment is not None and segment.leader.name == node.name
    return {
        "name": node.name,
        "location": node.location,
        "segment": _text(segment and segment.name),
        "leader": leads,
        "endpoint": _text(node.endpoint),
        "wireguardIP": _text(segment.wireguard_ip if segment and leads else None),
        "podSubnet": _text(node.subnet),
        "internalIP": _text(node.internal_ip),
        "key": _text(node.key),
        "persistentKeepalive": node.persistent_keepalive,
        "granularity": node.granularity or None,
        "allowedLocationIPs": [str(cidr) for cidr in node.allowed_location_ips],
        "lastSeen": node.last_seen or None,
        "heartbeatAge": int(present - node.last_seen) if node.last_seen else None,
        "ready": not reasons,
        "reasons": list(reasons),
    }


def _peer_item(peer: Peer, now: float) -> Item:
    reasons, expires = why_peer_not_ready(peer, now), peer.settings.expires
    return {
        "name": peer.name,
        "allowedIPs": [str(cidr) for cidr in peer.allowed_ips],
        "endpoint": _text(peer.endpoint),
        "persistentKeepalive": peer.persistent_keepalive,
        "publicKey": _text(peer.public_key),
        "hasPresharedKey": peer.preshared_key is not None,
        "expires": None if expires is None else time_text(expires),
        "valid": True,
        "ready": not reasons,
        "reasons": list(reasons),
    }


def _invalid_peer_item(peer: InvalidPeer) -> Item:
    return {
        "name": peer.name,
        "valid": False,
        "ready": False,
        "reasons": [f"invalid: {problem}" for problem in peer.problems],
    }


def _segment_item(segment: Segment) -> Item:
    return {
        "name": segment.name,
        "leader": segment.leader.name,
        "nodes": [node.name for node in segment.nodes],
        "endpoint": _text(segment.endpoint),
        "wireguardIP": str(segment.wireguard_ip),
        "key": str(segment.key),
        "allowedIPs": [str(cidr) for cidr in segment.allowed_ips],
        "allowedLocationIPs": [str(cidr) for cidr in segment.allowed_location_ips],
    }


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def _readiness(item: Item) -> str:
    return "yes" if item["ready"] else f"no: {', '.join(item['reasons'])}"


def _heartbeat_age(item: Item) -> str | None:
    return None if item["heartbeatAge"] is None else age(item["heartbeatAge"])


def _keepalive(item: Item) -> str | None:
    seconds = item.get("persistentKeepalive")
    return f"{seconds}s" if seconds else None


_NODE_COLUMNS = (
    Column("NAME", "name"),
    Column("LOCATION", "location"),
    Column("SEGMENT", "segment", spare=5),
    Column("LEADER", "leader"),
    Column("ENDPOINT", "endpoint", spare=1),
    Column("WIREGUARD-IP", "wireguardIP", spare=3),
    Column("POD-SUBNET", "podSubnet", spare=4),
    Column("INTERNAL-IP", "internalIP", wide=True),
    Column("KEEPALIVE", _keepalive, wide=True),
    Column("GRANULARITY", "granularity", wide=True),
    Column("KEY", "key", wide=True),
    Column("HEARTBEAT", _heartbeat_age, spare=2),
    Column("READY", _readiness),
)
_PEER_COLUMNS = (
    Column("NAME", "name"),
    Column("ALLOWED-IPS", "allowedIPs"),
    Column("ENDPOINT", "endpoint", spare=1),
    Column("KEEPALIVE", _keepalive, spare=1),
    Column("PRESHARED-KEY", "hasPresharedKey", wide=True),
    Column("PUBLIC-KEY", "publicKey", wide=True),
    Column("EXPIRES", "expires", wide=True),
    Column("READY", _readiness),
)
_SEGMENT_COLUMNS = (
    Column("NAME", "name"),
    Column("LEADER", "leader"),
    Column("NODES", lambda item: len(item["nodes"])),
    Column("ENDPOINT", "endpoint", spare=1),
    Column("WIREGUARD-IP", "wireguardIP", spare=2),
    Column("ALLOWED-IPS", "allowedIPs", wide=True),
    Column("ALLOWED-LOCATION-IPS", "allowedLocationIPs", spare=3),
    Column("KEY", "key", wide=True),
)
