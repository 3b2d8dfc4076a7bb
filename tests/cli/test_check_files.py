"""kgctl check of files: positions of findings, and repositories with other files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.recorded import kgctl

CASES = Path(__file__).parents[1] / "diagnosis" / "cases"

NODE = """\
apiVersion: v1
kind: Node
metadata:
  annotations:
    kilo.squat.ai/key: ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=
    kilo.squat.ai/endpoint: 203.0.113.1:51820
    kilo.squat.ai/internal-ip: 10.1.0.1/24
    kilo.squat.ai/last-seen: '1000'
    kilo.squat.ai/granularity: location
    kilo.squat.ai/location: a
  name: a
spec:
  podCIDR: 10.42.1.0/24
"""
PEER = """\
kind: Peer
apiVersion: kilo.squat.ai/v1alpha1
metadata: {name: laptop}
spec:
  allowedIPs: [10.5.0.1/32]
  publicKey: XuwNxBmqgze/cl8Cb9qceMHLHGQu6v+dbhES83eD6UI=
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with manifests among other files, as the working directory."""
    for name, text in {
        "clusters/prod/nodes.yaml": "# the nodes\n" + NODE,
        "clusters/prod/peers/all.yml": "---\n---\n" + PEER,
        "docker-compose.yaml": "services: {web: {image: nginx}}\n",
        "chart/templates/peer.yaml": "apiVersion: {{ .Values.version }}\nkind: Peer\n",
        "package.json": '{"name": "x"}\n',
        ".github/workflows/ci.yaml": "on: push\n",
        "node_modules/x/index.yaml": PEER.replace("laptop", "foreign"),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(*arguments: str) -> list[dict[str, Any]]:
    answer = kgctl(*arguments, "--at", "1000", "check", "-o", "json", "--select", "KG411,KG2")
    assert answer.code in (0, 1), answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout)["findings"]
    return found


@pytest.mark.usefixtures("repository")
def test_a_directory_is_searched_and_what_is_no_manifest_is_passed_over() -> None:
    (one,) = checked("-f", ".")
    assert (one["name"], one["file"], one["line"]) == ("laptop", "clusters/prod/peers/all.yml", 5)
    assert one["remedy"].startswith("edit clusters/prod/peers/all.yml:5; in a live cluster: kgctl ")
    answer = kgctl("-f", ".", "get", "nodes")
    assert answer.stderr.startswith("passed over 3 files: chart/templates/peer.yaml (neither YAML")
    assert "docker-compose.yaml (no Kubernetes objects), package.json (" in answer.stderr
    assert answer.stdout.splitlines()[1].startswith("a ")


def test_a_file_that_was_named_has_to_be_a_manifest(repository: Path) -> None:
    answer = kgctl("-f", str(repository / "docker-compose.yaml"), "check")
    assert (answer.code, answer.stdout) == (2, "")
    assert "lacks apiVersion or kind" in answer.stderr


def test_a_directory_without_objects_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("replicas: 1\n")
    answer = kgctl("-f", str(tmp_path), "check")
    assert (answer.code, answer.stdout) == (2, "")
    assert "nothing to check: there is no Node and no Peer in" in answer.stderr


LISTS = {
    "kubectl.json": lambda objects: json.dumps(
        {"apiVersion": "v1", "items": objects, "kind": "List"}, indent=4
    ),
    "raw.json": lambda objects: json.dumps(
        {"kind": "PeerList", "apiVersion": "kilo.squat.ai/v1alpha1", "items": [
            {"metadata": one["metadata"], "spec": one["spec"]} for one in objects]}, indent=1
    ),
    "sorted.json": lambda objects: json.dumps(
        {"apiVersion": "kilo.squat.ai/v1alpha1", "items": [
            {"metadata": one["metadata"], "spec": one["spec"]} for one in objects],
         "kind": "PeerList"}, indent="\t"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_the_items_of_a_list_have_lines_of_their_own(name: str, tmp_path: Path) -> None:
    import yaml

    peers = [yaml.safe_load(PEER.replace("laptop", f"laptop-{number}")) for number in range(3)]
    for number, one in enumerate(peers):
        one["spec"]["publicKey"] = one["spec"]["publicKey"].replace("X", "ABC"[number])
        one["spec"]["allowedIPs"] = [f"10.5.0.{number + 1}/32"]
        one["metadata"]["labels"] = {"name": "other"}
    path = tmp_path / name
    path.write_text(LISTS[name](peers))
    lines = path.read_text().splitlines()
    found = [one for one in checked("-f", str(path)) if one["code"] == "KG411"]
    assert [one["name"] for one in found] == ["laptop-0", "laptop-1", "laptop-2"]
    for one in found:
        assert f'"name": "{one["name"]}"' in lines[one["line"] - 1]


def test_a_location_has_the_place_of_its_leader_and_a_cluster_its_first_file() -> None:
    case = str(CASES / "KG303-trips.yaml")
    answer = kgctl("-f", case, "--at", "1000", "check", "-o", "json", "--select", "KG303")
    (one, *_) = json.loads(answer.stdout)["findings"]
    assert one["kind"] == "location"
    lines = Path(case).read_text().splitlines()
    assert lines[one["line"] - 1].strip().startswith("name: ")
    nodes = str(CASES / "KG501-trips.yaml")
    answer = kgctl("-f", nodes, "--at", "1000", "check", "-o", "json", "--select", "KG501")
    (one,) = json.loads(answer.stdout)["findings"]
    assert (one["kind"], one["file"]) == ("cluster", nodes)
    assert "line" not in one


def test_standard_input_and_a_live_cluster_have_no_place() -> None:
    answer = kgctl("--example", "check", "-o", "json", "--select", "KG005")
    assert all("file" not in one for one in json.loads(answer.stdout)["findings"])
    answer = kgctl("--example", "check", "-o", "github", "--select", "KG005")
    assert answer.stdout.startswith("::error title=KG005 node/home-tv::")


@pytest.mark.usefixtures("repository")
def test_github_gets_file_and_line_relative_to_the_repository(tmp_path: Path) -> None:
    for given in (".", str(tmp_path), "clusters/../clusters"):
        arguments = ["-f", given, "--at", "1000", "check", "-o", "github", "--select", "KG411"]
        text = kgctl(*arguments).stdout
        assert text.startswith("::error file=clusters/prod/peers/all.yml,line=5,title=KG411 ")


def test_a_finding_fails_its_junit_case_from_the_given_severity_on() -> None:
    warning = ["-f", str(CASES / "KG402-trips.yaml"), "--at", "1000", "check", "-o", "junit"]
    suite = ElementTree.fromstring(kgctl(*warning, "--select", "KG402").stdout)
    assert suite.get("failures") == "0"
    (output,) = suite.findall("testcase/system-out")
    assert (output.text or "").startswith("warning: peer/laptop: ")
    strict = kgctl(*warning, "--select", "KG402", "--fail-on", "warning")
    suite = ElementTree.fromstring(strict.stdout)
    assert (strict.code, suite.get("failures"), len(suite.findall("testcase/failure"))) == (
        1, "1", 1
    )  # fmt: skip


def test_several_clusters_of_files_have_places_too() -> None:
    pair = Path(__file__).parents[1] / "diagnosis" / "pairs" / "KG602-trips"
    answer = kgctl(
        "--cluster", str(pair / "west.yaml"), "--cluster", str(pair / "east.yaml"), "--at",
        "newest", "check", "-o", "json", "--select", "KG602",
    )  # fmt: skip
    for one in json.loads(answer.stdout)["findings"]:
        lines = Path(one["file"]).read_text().splitlines()
        assert Path(one["file"]).stem == one["cluster"]
        assert one["name"] in lines[one["line"] - 1]
