"""Small clusters for tests of rules, and their findings."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from kgctl.diagnosis.check import check
from kgctl.diagnosis.facts import Settings
from kgctl.kube.objects import NodeObject
from kgctl.mesh.node import NO_PLATFORM, Platform
from kgctl.state.evidence import Evidence
from kgctl.state.interface import Objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.diagnosis.finding import Finding

NOW = 1000
PREFIX = "kilo.squat.ai/"


def key(name: str) -> str:
    return b64encode(sha256(name.encode()).digest()).decode()


def node(
    name: str,
    number: int = 1,
    *,
    labels: Mapping[str, str] | None = None,
    platform: Platform = NO_PLATFORM,
    **annotations: Any,
) -> NodeObject:
    """A node as its agent writes it, with annotations changed; None takes one away."""
    texts: dict[str, Any] = {
        "key": key(name),
        "endpoint": f"203.0.113.{number}:51820",
        "internal-ip": f"10.{number}.0.1/24",
        "last-seen": str(NOW),
        "granularity": "location",
        "cni-compatibility-ip": "",
        "discovered-endpoints": "{}",
        "wireguard-ip": "",
        **{name.replace("_", "-"): text for name, text in annotations.items()},
    }
    written = {PREFIX + name: text for name, text in texts.items() if text is not None}
    return NodeObject(name, f"10.42.{number}.0/24", labels or {}, written, platform)


def peer(name: str, **metadata: Mapping[str, str]) -> dict[str, Any]:
    spec = {"allowedIPs": ["10.5.0.1/32"], "publicKey": key(name), "persistentKeepalive": 25}
    return {"metadata": {"name": name, **metadata}, "spec": spec}


def findings(
    nodes: Sequence[NodeObject],
    peers: Sequence[Mapping[str, Any]] = (),
    *,
    now: float = NOW,
    label: str = "topology.kubernetes.io/region",
    live: bool = False,
    clock_ahead: float | None = None,
) -> list[Finding]:
    """Return what every rule finds."""
    evidence = Evidence(Objects(nodes, peers, {}), live or None, live=live, clock_ahead=clock_ahead)
    return check(evidence.subject(topology_label=label), Settings(now))


def codes(found: Sequence[Finding]) -> list[str]:
    return sorted({one.code for one in found})


def of(code: str, found: Sequence[Finding]) -> list[Finding]:
    return [one for one in found if one.code == code]


def discovered(**seen: str) -> str:
    """Where an agent sees others: names of nodes or peers, and addresses."""
    entries = {
        key(name): {"IP": address, "Port": 40000, "Zone": ""} for name, address in seen.items()
    }
    return json.dumps(entries)
