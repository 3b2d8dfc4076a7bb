"""Clusters for pages, as manifests, and kgctl's pages of them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.apiserver.fleet import fleet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ATTACK = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=2'>\u2028<!--"
PRESHARED = "c2VjcmV0LXByZXNoYXJlZC1rZXktb2YtMzItYnl0ZXM="


def make_page(directory: Path, objects: Iterable[dict[str, Any]] | None = None) -> Path:
    """Let kgctl make the page of ``objects``, or of the example cluster."""
    target = directory / "kilo.html"
    source = ["--example"]
    if objects is not None:
        file = directory / "cluster.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
        source = ["-f", str(file), "--at", "newest", "--mesh-granularity", "location"]
    command = [sys.executable, "-m", "kgctl", *source, "graph", "-O", str(target)]
    subprocess.run(command, check=True)
    return target


def hostile() -> list[dict[str, Any]]:
    """A cluster whose every text that a node may choose is an attack on a page."""
    nodes = list(fleet(6, regions=2))
    for number, node in enumerate(nodes):
        node["metadata"]["annotations"]["kilo.squat.ai/location"] = f"{ATTACK}{number % 2}"
        node["metadata"]["annotations"]["kilo.squat.ai/persistent-keepalive"] = ATTACK
    nodes[1]["metadata"]["name"] = ATTACK
    return [*nodes, peer("secretive")]


def peer(name: str) -> dict[str, Any]:
    """A Peer with a preshared key."""
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": name},
        "spec": {
            "allowedIPs": ["10.99.0.1/32"],
            "publicKey": "yLpdCWvqLaBQVPMdWnR5sUdzXxOIlmmGRoyFlLDLAWA=",
            "presharedKey": PRESHARED,
        },
    }
