"""Several clusters on one command line: names, errors and lists."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest
import yaml

from kgctl.cli.core.clusters import at_once
from kgctl.errors import KgctlError
from tests.support.recorded import kgctl
from tests.support.several import NOW, east, options, west, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def both(tmp_path: Path) -> list[str]:
    return options(tmp_path, {"west": west(), "east": east()})


def test_lists_begin_with_the_cluster_in_the_order_of_the_command_line(both: list[str]) -> None:
    answer = kgctl(*both, "get", "nodes")
    assert answer.code == 0, answer.stderr
    rows = [line.split()[:2] for line in answer.stdout.splitlines()]
    assert rows == [
        ["CLUSTER", "NAME"], ["west", "w1"], ["west", "w2"], ["west", "w3"],
        ["east", "e1"], ["east", "e2"],
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["nodes", "peers", "segments"])
def test_every_format_has_the_cluster(both: list[str], kind: str) -> None:
    items = json.loads(kgctl(*both, "get", kind, "-o", "json").stdout)["items"]
    assert {item["cluster"] for item in items} == {"west", "east"}
    assert yaml.safe_load(kgctl(*both, "get", kind, "-o", "yaml").stdout)["items"] == items
    names = kgctl(*both, "get", kind, "-o", "name").stdout.split()
    assert [name.split("/")[0] for name in names] == [item["cluster"] for item in items]


def test_a_name_is_looked_for_in_all_clusters_or_in_one(both: list[str]) -> None:
    def chosen(*names: str) -> list[str]:
        return kgctl(*both, "get", "peers", "-o", "name", *names).stdout.split()

    kind = "peer.kilo.squat.ai"
    assert chosen("laptop") == [f"west/{kind}/laptop", f"east/{kind}/laptop"]
    assert chosen("east/laptop") == [f"east/{kind}/laptop"]
    answer = kgctl(*both, "get", "peers", "east/printer")
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr.startswith('there is no peer.kilo.squat.ai named "east/printer"')


def test_one_cluster_is_what_a_file_or_a_context_is(tmp_path: Path) -> None:
    path = write(tmp_path / "west.yaml", west())
    by_name = kgctl("get", "nodes", "--at", NOW, "--cluster", f"any={path}")
    assert by_name == kgctl("get", "nodes", "--at", NOW, "-f", str(path))
    assert "CLUSTER" not in by_name.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["get", "nodes", "--watch"],
        ["showconf", "node", "w1"],
        ["diff", "-f", "x.yaml"],
        ["peer", "rm", "laptop"],
        ["node", "set", "w1", "--location", "eu"],
        ["status"],
        ["serve"],
        ["connect"],
    ],
    ids=" ".join,
)
def test_commands_of_one_cluster_refuse_two(command: list[str]) -> None:
    answer = kgctl(*command, "--context", "a", "--context", "b")
    verdict = command[0] == "diff"
    assert (answer.code, answer.stdout) == (2 if verdict else 1, "")
    assert "give one --context or --cluster" in answer.stderr


@pytest.mark.parametrize("command", ["link", "unlink"])
@pytest.mark.parametrize(
    "option", [["--context", "x"], ["--context", "x", "--context", "y"], ["--cluster", "x"]]
)
def test_link_takes_its_clusters_as_arguments(command: str, option: list[str]) -> None:
    answer = kgctl(*option, command, "a", "b")
    assert (answer.code, answer.stdout) == (1, "")
    assert "clusters as arguments: omit --context, --cluster," in answer.stderr


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "west.yaml", west())
    answer = kgctl("get", "nodes", "--cluster", str(path), "--cluster", str(path))
    assert answer.code == 1
    assert answer.stderr == 'two clusters are called "west"; name them: --cluster NAME=CLUSTER\n'


@pytest.mark.parametrize(
    "command", [["link", "west.yaml"], ["get", "nodes", "--cluster", "west.yaml", "--cluster"]]
)
def test_a_file_that_is_not_there_is_taken_for_no_context(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "west.yaml", west())
    answer = kgctl(*command, "nowhere.yaml")
    assert (answer.code, answer.stderr) == (1, 'there is no file "nowhere.yaml"\n')


@pytest.mark.parametrize("option", [["-f", "x.yaml"], ["--example"]])
def test_files_that_are_one_cluster_do_not_go_with_several(option: list[str]) -> None:
    answer = kgctl("get", "nodes", *option, "--context", "a", "--context", "b")
    assert answer.code == 1
    assert "name each as --cluster NAME=FILE" in answer.stderr


def test_an_error_says_which_cluster(tmp_path: Path, both: list[str]) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("kind: [")
    answer = kgctl(*both, "--cluster", str(broken), "get", "nodes")
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("broken: ")
    empty = write(tmp_path / "none.yaml", [])
    answer = kgctl(*both, "--cluster", str(empty), "get", "segments")
    assert answer.stderr.startswith("none: did not find any valid Kilo nodes")


def test_clusters_are_read_at_once() -> None:
    meeting = threading.Barrier(3, timeout=20)
    assert len(at_once(["a", "b", "c"], [meeting.wait] * 3)) == 3


def test_of_several_failures_the_first_in_order_is_told() -> None:
    def fail() -> int:
        raise KgctlError("no answer")

    with pytest.raises(KgctlError, match=r"^b: no answer$"):
        at_once(["a", "b", "c"], [lambda: 1, fail, fail])
