"""``kgctl diff``: exit codes, sources and formats."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from kgctl.state.example import __file__ as example
from tests.support.recorded import kgctl

CASES = Path(__file__).parents[1] / "diagnosis" / "cases"
CLUSTER = example.replace("__init__.py", "cluster.json")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--set", "node/aws-1:leader=true"], 0),
        (["--set", "node/aws-2:leader-"], 0),
        (["--set", "node/aws-1:location=x"], 1),
        (["--without", "peer/tablet"], 0),  # it is invalid, so it took no part
        (["--without", "node/aws-9"], 2),
        (["--without", "aws-1"], 2),
        (["--set", "peer/laptop:leader=true"], 2),
        (["--set", "node/aws-1:leader"], 2),
        (["--set", "node/aws-1:persistent-keepalive=25s"], 2),
        (["--base", CLUSTER, "--without", "node/aws-1"], 2),
        (["--from", CLUSTER], 2),
        (["--from", CLUSTER, "--to", CLUSTER, "--set", "node/aws-1:leader=true"], 2),
        (["-f", "nowhere.yaml"], 2),
        (["--nonsense"], 2),
        (["-o", "xml", "--without", "node/aws-1"], 2),
        ([], 2),
    ],
)
def test_the_exit_code_is_the_answer(arguments: list[str], code: int) -> None:
    done = kgctl("--example", "diff", *arguments)
    assert done.code == code, done.stderr
    assert bool(done.stdout) is (code == 1)
    assert bool(done.stderr) is (code == 2)


def test_snapshots_are_compared_each_by_its_own_time(tmp_path: Path) -> None:
    with open(CLUSTER, encoding="utf-8") as file:  # noqa: PTH123
        objects = json.load(file)
    later = tmp_path / "later.json"
    for item in objects["items"]:
        annotations = item["metadata"].get("annotations", {})
        if "kilo.squat.ai/last-seen" in annotations:
            seen = int(annotations["kilo.squat.ai/last-seen"]) + 86400
            annotations["kilo.squat.ai/last-seen"] = str(seen)
    later.write_text(json.dumps(objects))
    assert kgctl("diff", "--from", CLUSTER, "--to", str(later)).code == 0
    objects["items"] = [item for item in objects["items"] if item["metadata"]["name"] != "edge-1"]
    later.write_text(json.dumps(objects))
    found = kgctl("diff", "--from", CLUSTER, "--to", str(later), "-o", "json")
    assert found.code == 1
    changes = json.loads(found.stdout)["changes"]
    assert [(one["kind"], one["name"], one["after"]) for one in changes] == [
        ("segment", "node:edge-1", None),
        ("node", "edge-1", None),
    ]


def test_files_are_applied_to_a_base(tmp_path: Path) -> None:
    manifest = tmp_path / "peer.json"
    peer = kgctl("--example", "showconf", "peer", "office", "--as-peer", "-o", "json").stdout
    manifest.write_text(peer)
    given = ("diff", "--base", CLUSTER, "-f", str(manifest))
    assert kgctl(*given).code == 0
    manifest.write_text(peer.replace("192.168.50.0/24", "192.168.60.0/24"))
    found = kgctl(*given)
    assert found.code == 1
    assert (
        "allowed IPs: 10.5.0.3/32, 192.168.50.0/24 -> 10.5.0.3/32, 192.168.60.0/24" in found.stdout
    )


def git(directory: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository whose last commit has two nodes and a peer, as the working directory."""
    (tmp_path / "prod").mkdir()
    nodes, peer = (CASES / "KG212-near-miss.yaml").read_text().rsplit("---\n", 1)
    (tmp_path / "prod" / "nodes.yaml").write_text(nodes)
    (tmp_path / "prod" / "office.yaml").write_text(peer)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.needs("git")
def test_files_are_compared_with_what_they_were_at_a_revision(repository: Path) -> None:
    arguments = ("-f", "prod", "--at", "1000", "diff", "--base", "HEAD")
    answer = kgctl(*arguments)
    assert (answer.code, answer.stdout) == (0, "")
    assert answer.stderr == "compared: prod at HEAD with prod as it is\n"
    (repository / "prod" / "office.yaml").unlink()
    answer = kgctl(*arguments)
    assert answer.code == 1
    assert "- peer office" in answer.stdout
    answer = kgctl("-f", "prod/nodes.yaml", "--at", "1000", "diff", "--base", "HEAD")
    assert (answer.code, answer.stdout) == (0, "")


@pytest.mark.needs("git")
@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("revision", ["no-such-revision", "--output=x", "HEAD:prod/nodes.yaml"])
def test_a_base_that_is_neither_file_nor_revision_is_an_error(revision: str) -> None:
    answer = kgctl("-f", "prod", "--at", "1000", "diff", f"--base={revision}")
    assert (answer.code, answer.stdout) == (2, "")
    assert "is neither a file nor a revision of a git repository here" in answer.stderr


@pytest.mark.needs("git")
def test_a_snapshot_that_is_laid_over_a_cluster_is_pointed_out(repository: Path) -> None:
    whole = repository / "whole.yaml"
    whole.write_text((repository / "prod" / "nodes.yaml").read_text())
    answer = kgctl("-f", str(whole), "--at", "1000", "diff", "--base", "prod")
    assert answer.stderr.startswith("compared: prod as it is with prod after kubectl apply -f ")
    assert "holds every node of prod, like a snapshot" in answer.stderr
