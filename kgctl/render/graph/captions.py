"""What is written in a picture: words that formats share, and lines that are yet to be quoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.readiness import age
from kgctl.render.graph.picture import BROKEN, READY, STALE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.render.graph.picture import Area, Member, Outsider


def place(area: Area) -> str:
    """Return the title of an area."""
    return area.location or "no location"


def area_lines(area: Area) -> Iterator[str]:
    """Yield what is written on an area that is one node."""
    counts = area.counts
    yield place(area)
    total = sum(counts.values())
    yield f"{number(total, 'node')}, {counts[READY]} ready"
    lost = [f"{counts[state]} {state}" for state in (STALE, BROKEN) if counts[state]]
    if lost:
        yield f"! {', '.join(lost)}"
    leaders = [node for node in area.nodes if node.leads]
    if len(leaders) == 1:
        yield f"leader {leaders[0].name}"
    elif leaders:
        yield f"{len(leaders)} leaders"
    if any(node.behind_nat for node in leaders):
        yield "behind NAT"


def node_lines(node: Member, *, detailed: bool) -> Iterator[str]:
    """Yield what is written on a node."""
    yield f"★ {node.name}" if node.leads else node.name
    if node.state != READY:
        first, *others = node.reasons
        yield f"{node.state}: {first}"
        yield from others
        return
    if detailed:
        yield f"pods {node.subnet}"
        if node.leads:
            yield f"{node.wireguard_ip} at {node.endpoint}"
        elif node.internal_ip is not None:
            yield str(node.internal_ip.address)
    if node.leads and node.behind_nat:
        yield "behind NAT"


def peer_lines(peer: Outsider, *, detailed: bool) -> Iterator[str]:
    """Yield what is written on a peer."""
    yield peer.name
    if peer.state != READY:
        yield from peer.reasons
    elif detailed:
        yield ", ".join(str(cidr) for cidr in peer.allowed_ips)
        yield str(peer.endpoint) if peer.endpoint is not None else "calls, cannot be called"


def keepalive(seconds: int) -> str:
    """Return a keepalive in words."""
    return f"keepalive {age(seconds)}" if seconds else "no keepalive"


def number(count: int, what: str) -> str:
    """Return so many of something, in words."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
