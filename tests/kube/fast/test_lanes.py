"""Both lanes give the same answers: the fast one, and the libraries with ``KGCTL_SLOW=1``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from kgctl.errors import KubeconfigError
from kgctl.kilo import PEERS
from kgctl.kube.access.kubeconfig import Access
from kgctl.kube.fast import fast_lane
from kgctl.kube.lists import list_names
from tests.support.memory import Answer, MemoryTransport, api_on
from tests.support.quiet import QuietServer, node
from tests.support.recorded import CLUSTERS, differences, kgctl, load
from tests.support.ways import WAYS, Way

if TYPE_CHECKING:
    from pathlib import Path

FAST = {"http1", "json_list", "lean", "plain_yaml", "yaml_objects"}
"""Modules that the slow lane does not even import; types of ``protobuf`` are used by both."""


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KGCTL_SLOW", "1")


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("recording", CLUSTERS[::3], ids=lambda path: path.stem)
def test_the_slow_lane_gives_the_recorded_answers(recording: Path, tmp_path: Path) -> None:
    cluster, cases = load(recording)
    manifest = tmp_path / "cluster.yaml"
    manifest.write_text(yaml.safe_dump(cluster))
    assert differences(cases, "-f", str(manifest)) == []


def modules(lane: str, *arguments: str) -> tuple[set[str], str]:
    """Return the fast modules that a run of kgctl imports, and what it prints."""
    listing = "print(*sorted(m for m in sys.modules if m.startswith('kgctl.kube.fast.')))"
    code = f"import sys; from kgctl.cli.core.app import run; run({list(arguments)!r}); {listing}"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KGCTL_SLOW": lane},
        capture_output=True,
        text=True,
        check=True,
    )
    *answer, last = run.stdout.splitlines()
    return {name.rsplit(".", 1)[1] for name in last.split()}, "\n".join(answer)


def test_a_live_cluster_is_the_same_in_both_lanes(tmp_path: Path) -> None:
    with QuietServer([node("a-1", 2), node("b-1", 3)]) as server:
        command = ("--kubeconfig", str(server.kubeconfig(tmp_path)), "graph")
        fast, drawn = modules("0", *command)
        slow, drawn_slowly = modules("1", *command)
    assert "a-1" in drawn
    assert drawn_slowly == drawn
    assert "lean" in fast
    assert not slow & FAST


@pytest.mark.parametrize("dump", [json.dumps, yaml.safe_dump], ids=["json", "yaml"])
def test_a_large_file_is_the_same_in_both_lanes(dump: object, tmp_path: Path) -> None:
    cluster = load(CLUSTERS[-1])[0]
    assert callable(dump)
    many = {**cluster, "items": cluster["items"] + [{"kind": "Pod", "apiVersion": "v1"}] * 40_000}
    file = tmp_path / "cluster"
    file.write_text(dump(many if dump is json.dumps else cluster))
    command = ("-f", str(file), "--at", "newest", "get", "nodes", "-o", "json")
    fast, listed = modules("", *command)
    slow, listed_slowly = modules("1", *command)
    assert listed_slowly == listed
    assert fast & {"json_list", "yaml_objects"}
    assert not slow & FAST


@pytest.mark.usefixtures("slow")
def test_the_slow_lane_is_on() -> None:
    assert not fast_lane()
    assert kgctl("--example", "graph").code == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "server",
    ["https://127.0.0.1:99999", "https://127.0.0.1:a", "https://", "https://[::1", "https://a b"],
)
def test_both_transports_refuse_what_is_no_url(server: str, way: Way) -> None:
    access = Access(server, {}, {}, "", 'context "c" of F', ())
    with pytest.raises(KubeconfigError, match='of context "c" of F is not a valid URL: write http'):
        way(access)


@pytest.mark.usefixtures("slow")
def test_the_slow_lane_asks_for_names_alone_as_json() -> None:
    transport = MemoryTransport(Answer({"metadata": {}, "items": [{"metadata": {"name": "a"}}]}))
    assert list_names(api_on(transport), PEERS) == ["a"]
    accept = transport.requests[0].headers["Accept"]
    assert accept.startswith("application/json;as=PartialObjectMetadataList")
    assert "protobuf" not in accept
