"""Two small clusters as manifests: west, of three nodes in two locations, and east, of one."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import yaml

from tests.recorded import kgctl

if TYPE_CHECKING:
    from pathlib import Path

NOW = "1769860800"
KILO = "kilo.squat.ai/"
Object = dict[str, Any]


def key(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def node(name: str, cluster: int, number: int, location: str, **annotations: str) -> Object:
    own = {
        "key": key(f"{cluster} {name}"),
        "endpoint": f"203.0.113.{10 * cluster + number}:51820",
        "internal-ip": f"172.{16 + cluster}.0.{number}/24",
        "wireguard-ip": f"10.{100 + cluster}.0.1/16",
        "location": location,
        "granularity": "location",
        "last-seen": NOW,
    } | {name.replace("_", "-"): value for name, value in annotations.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {KILO + one: own[one] for one in own}},
        "spec": {"podCIDR": f"10.{cluster}.{number}.0/24"},
    }


def peer(name: str, *allowed_ips: str, **spec: Any) -> Object:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": name},
        "spec": {"allowedIPs": list(allowed_ips), "publicKey": key(f"peer {name}"), **spec},
    }


def west() -> list[Object]:
    return [
        node("w1", 1, 1, "eu"),
        node("w2", 1, 2, "eu"),
        node("w3", 1, 3, "us"),
        peer("laptop", "10.5.0.1/32", persistentKeepalive=25),
        peer("printer", "10.5.1.1/32"),
    ]


def east() -> list[Object]:
    return [
        node("e1", 2, 1, "asia"),
        node("e2", 2, 2, "asia"),
        peer("laptop", "10.5.0.1/32", persistentKeepalive=25),
    ]


def write(path: Path, objects: list[Object]) -> Path:
    path.write_text(yaml.safe_dump_all(objects))
    return path


def options(directory: Path, objects: dict[str, list[Object]]) -> list[str]:
    """Return the options that name clusters of these objects, each a file of its own."""
    found = ["--at", NOW]
    for name, own in objects.items():
        found += ["--cluster", str(write(directory / f"{name}.yaml", own))]
    return found


def linked(directory: Path, objects: dict[str, list[Object]]) -> dict[str, list[Object]]:
    """Return the objects with the Peers that ``kgctl link`` makes for them."""
    files = [str(write(directory / f"{name}.yaml", own)) for name, own in objects.items()]
    # a laptop that both clusters know is one of the things that stand against linking
    allowed = [option for one in ("overlap", "keys") for option in ("--allow", one)]
    links = directory / "links"
    answer = kgctl("link", "--at", NOW, *files, "--directory", str(links), *allowed)
    assert answer.code == 0, answer.stderr
    return {
        name: own + list(yaml.safe_load_all((links / f"{name}.yaml").read_text()))
        for name, own in objects.items()
    }
