"""Draws the pictures of the documentation: ``python -m tests.docs.pictures [DIRECTORY]``.

The clusters are invented and of different sizes, with a few nodes that are stale, broken or behind
a NAT.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.apiserver.fleet import fleet
from tests.support.recorded import kgctl
from tests.support.several import options, troubled

PREFIX = "kilo.squat.ai/"
PLACES = [chr(97 + number % 26) + suffix for suffix in ("-east", "-west") for number in range(18)]
SIZES = {3: (3, 1), 40: (6, 5), 300: (12, 8), 3000: (300, 120)}
"""How many locations and peers there are with each number of nodes."""


def cluster(nodes: int, locations: int, peers: int) -> dict[str, Any]:
    """Return a cluster as a List of objects."""
    items = list(fleet(nodes, locations))
    for number, node in enumerate(items):
        place = PLACES[number % locations % len(PLACES)]
        rack = number % locations // len(PLACES)
        annotations = node["metadata"]["annotations"]
        annotations[f"{PREFIX}location"] = f"{place}-{rack}" if locations > len(PLACES) else place
        _trouble(number, nodes, annotations)
    return {"apiVersion": "v1", "kind": "List", "items": items + list(map(_peer, range(peers)))}


def _trouble(number: int, nodes: int, annotations: dict[str, str]) -> None:
    if nodes < 10:
        return
    if number % 23 == 17:
        annotations[f"{PREFIX}last-seen"] = str(int(time.time()) - 7200)
    elif number % 37 == 29:
        del annotations[f"{PREFIX}key"]
    elif number == 4:
        annotations[f"{PREFIX}endpoint"] = "192.168.1.10:51820"
        annotations[f"{PREFIX}persistent-keepalive"] = "25"
        annotations[f"{PREFIX}leader"] = "true"


def _peer(number: int) -> dict[str, Any]:
    key = base64.b64encode(hashlib.sha256(f"peer {number}".encode()).digest()).decode()
    spec: dict[str, Any] = {
        "allowedIPs": [f"10.5.{number // 250}.{number % 250 + 1}/32"],
        "publicKey": key,
    }
    if number % 4:
        spec["persistentKeepalive"] = 25
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": f"laptop-{number:03d}"},
        "spec": spec,
    }


def draw(directory: Path, sizes: dict[int, tuple[int, int]], *given: str) -> None:
    """Draw a picture of each size, and say how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        for nodes, (locations, peers) in sizes.items():
            file = Path(folder, f"{nodes}.json")
            file.write_text(json.dumps(cluster(nodes, locations, peers)))
            picture = directory / f"graph-{nodes}.svg"
            began = time.monotonic()
            answer = kgctl("-f", str(file), "graph", "-O", str(picture), *given)
            assert answer.code == 0, answer.stderr
            print(f"{picture}: {time.monotonic() - began:.1f} s")


def draw_clusters(picture: Path) -> None:
    """Draw two clusters that are linked, but for a link that one lacks and one that is stale."""
    with tempfile.TemporaryDirectory() as folder:
        given = options(Path(folder), troubled())
        answer = kgctl(*given, "graph", "-O", str(picture))
        assert answer.code == 0, answer.stderr
    print(picture)


def photograph(picture: Path) -> None:
    """Write what a browser shows of the example's page."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        answer = kgctl("--example", "graph", "-O", str(page))
        assert answer.code == 0, answer.stderr
        command = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars",
                   "--window-size=1280,800", "--virtual-time-budget=4000",
                   f"--screenshot={picture.absolute()}", page.as_uri()]  # fmt: skip
        subprocess.run(command, check=True, timeout=60, capture_output=True)
    print(picture)


def main() -> None:
    """Draw all of them."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    for name, given in {
        "example-rich": (),
        "example-focus": ("--focus", "home-pi", "--hops", "2"),
    }.items():
        answer = kgctl("--example", "graph", "-O", str(directory / f"{name}.svg"), *given)
        assert answer.code == 0, answer.stderr
    draw_clusters(directory / "clusters.svg")
    draw(directory, SIZES)
    photograph(directory / "page.png")


if __name__ == "__main__":
    main()
