"""``path``, ``diff`` and ``drift`` on a live cluster, with read-only rights."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.state.example import __file__ as example
from tests.apiserver.fleet import fleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.apiserver.server import ApiServer

    Run = Callable[..., subprocess.CompletedProcess[str]]

CLUSTER = example.replace("__init__.py", "cluster.json")
AT = ("--at", "1769860800")  # when the example was taken


@pytest.fixture
def objects() -> list[dict[str, Any]]:
    """The nodes and peers of the example; one of its peers is invalid, which no server takes."""
    with open(CLUSTER, encoding="utf-8") as file:  # noqa: PTH123
        items: list[dict[str, Any]] = json.load(file)["items"]
    return [one for one in items if one["metadata"]["name"] != "tablet"]


@pytest.fixture
def run(api_server: ApiServer, objects: list[dict[str, Any]], tmp_path: Path) -> Run:
    """Run kgctl on the example, which is live here, with no more rights than docs/rbac.yaml has."""
    api_server.clear()
    api_server.apply(objects)
    kubeconfig = str(api_server.token_user("reader"))

    def kgctl(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kgctl", "--kubeconfig", kubeconfig, *arguments],
            input=given, capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip

    return kgctl


@pytest.mark.parametrize("ends", [("aws-2", "home-pi"), ("laptop", "phone"), ("edge-1", "8.8.8.8")])
def test_a_path_is_that_of_the_same_state_in_a_file(run: Run, ends: tuple[str, str]) -> None:
    live = run("path", *ends, *AT)
    file = run("path", *ends, "-f", CLUSTER, *AT)
    assert live.stdout
    assert (live.returncode, live.stdout) == (file.returncode, file.stdout)


def test_what_a_manifest_would_do_is_what_it_does(
    run: Run, api_server: ApiServer, objects: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Predicted before it is applied; then compared with what there is after it was."""
    (office,) = [one for one in objects if one["metadata"]["name"] == "office"]
    (node,) = [one for one in objects if one["metadata"]["name"] == "aws-2"]
    office["spec"]["allowedIPs"] = ["10.5.0.9/32"]
    node["metadata"]["annotations"]["kilo.squat.ai/location"] = "frankfurt"
    changed = {"apiVersion": "v1", "kind": "List", "items": [office, node]}
    (tmp_path / "changed.json").write_text(json.dumps(changed))

    predicted = run("diff", "-f", "changed.json", "-o", "json", *AT)
    assert predicted.returncode == 1, predicted.stderr
    assert json.loads(predicted.stdout)["changes"]
    api_server.apply([office, node])
    assert run("diff", "-f", "changed.json", *AT).returncode == 0
    after = {"apiVersion": "v1", "kind": "List", "items": objects}
    (tmp_path / "after.json").write_text(json.dumps(after))
    happened = run("diff", "--from", CLUSTER, "--to", "after.json", "-o", "json")
    assert happened.stdout == predicted.stdout


def test_a_live_what_if_and_a_live_drift(run: Run) -> None:
    assert (
        "location:frankfurt"
        in run("diff", "--set", "node/aws-2:location=frankfurt", "-o", "markdown", *AT).stdout
    )
    conf = run("showconf", "node", "edge-1", *AT).stdout
    assert run("drift", "edge-1", "--dump", "-", *AT, given=conf).returncode == 0
    bad = run("drift", "edge-1", "--dump", "-", *AT, given=conf.replace("51820\n", "51821\n", 1))
    assert (bad.returncode, bad.stdout.count("listen port")) == (1, 1)


def test_a_cluster_that_cannot_be_read_is_trouble(api_server: ApiServer) -> None:
    nobody = ("--kubeconfig", str(api_server.token_user("nobody")))
    for command in (("path", "a", "b"), ("diff", "--without", "node/a")):
        done = subprocess.run(
            [sys.executable, "-m", "kgctl", *nobody, *command],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        assert "not allowed to" in done.stderr


def test_a_thousand_nodes_have_a_way_to_each_other(run: Run, api_server: ApiServer) -> None:
    api_server.clear()
    api_server.apply(fleet(1000, 20))
    for granularity in ("location", "full"):
        wide = ("--at", "newest", "--mesh-granularity", granularity)
        done = run("path", "node-00004", "node-00888", *wide)
        assert done.returncode == 0, done.stderr
        gone = run("diff", "--without", "node/node-00004", *wide)
        assert gone.returncode == 1
        assert "- node node-00004" in gone.stdout
