"""The command line: the reference's forms, and the errors for mistakes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kgctl import __version__
from kgctl.cli.core.arguments import split_values
from kgctl.cli.core.line import normalised
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from pathlib import Path

MAIN = [sys.executable, "-m", "kgctl"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["--as-peer=true"], ["--as-peer"]),
        (["--as-peer=F"], ["--no-as-peer"]),
        (["--debug=0", "--example=1"], ["--no-debug", "--example"]),
        (["--as-peer=maybe"], ["--as-peer=maybe"]),
        (["-o=yaml"], ["-o", "yaml"]),
        (["-f=a=b"], ["-f", "a=b"]),
        (["--", "--as-peer=true", "-o=yaml"], ["--", "--as-peer=true", "-o=yaml"]),
    ],
)
def test_arguments_are_read_as_go_reads_them(given: list[str], taken: list[str]) -> None:
    assert normalised(given) == taken


def test_a_slice_is_repeatable_and_comma_separated() -> None:
    assert split_values(["a,b", " c ", ",", ""]) == ["a", "b", "c"]
    assert split_values(None) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--example", "--mesh-granularity", "full", "showconf", "peer", "laptop"],
        ["showconf", "--example", "--mesh-granularity=full", "peer", "laptop"],
        ["showconf", "peer", "--mesh-granularity=full", "laptop", "--example"],
        ["--mesh-granularity=location", "showconf", "peer", "laptop", "--example",
         "--mesh-granularity", "full"],
        ["--example=true", "showconf", "peer", "laptop", "--mesh-granularity=full",
         "--as-peer=false", "-o=wireguard", "--backend", "kubernetes"],
    ],
)  # fmt: skip
def test_global_flags_stand_before_and_after_the_command(arguments: list[str]) -> None:
    expected = kgctl("showconf", "peer", "laptop", "--example", "--mesh-granularity", "full")
    assert kgctl(*arguments) == expected
    assert expected.code == 0
    assert expected.stdout.count("[Peer]") == 11


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_the_version_is_printed_before_and_after_a_command(flag: str) -> None:
    text = f"kgctl version {__version__}\n"
    for before in ([], ["graph"], ["showconf"], ["showconf", "node"]):
        assert kgctl(*before, flag)[:2] == (0, text)
    run = subprocess.run([*MAIN, flag], capture_output=True, text=True, check=True)
    assert run.stdout == text


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["-h"], ["help"], ["showconf"], ["help", "showconf"]]
)
def test_help_goes_to_stdout(arguments: list[str]) -> None:
    answer = kgctl(*arguments)
    assert answer.code == 0
    assert answer.stdout.startswith("Usage: kgctl ")
    assert answer.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["garph"], 'Unknown command "garph". Did you mean "graph"?'),
        (["graph", "--bogus"], "No such option: --bogus"),
        (["--port", "0", "graph"], "--port must be 1 to 65535, not 0"),
        (["--port", "x", "graph"], "Invalid value for '--port'"),
        (["--backend", "etcd", "graph"], '--backend "etcd" is unknown'),
        (["--mesh-granularity", "f\nx", "graph"], '--mesh-granularity "f\\nx" is unknown'),
        (["graph", "-f", "-"], "two sources"),
        (["graph", "--at", "noon"], '--at "noon" is not a time'),
        (["showconf", "node"], "give a NAME, or --all with --directory DIR"),
        (["showconf", "node", "aws-1", "-o", "wg-quick"], "-o wg-quick is for outside machines"),
        (["showconf", "peer", "laptop", "--mtu", "9"], "--mtu"),
        (["showconf", "peer", "laptop", "--allowed-ips", "10.0.0.1"], "is not a CIDR"),
        (["peer", "set"], "Missing argument 'NAME'"),
        (["get", "pods"], "'pods' is not one of"),
        (["get", "\x1b]0;x\x07\n"], "'\\x1b]0;x\\x07\\n' is not one of"),
        (["--as-peer=maybe", "graph"], "--as-peer"),
        (["showconf", "node", "aws-1", "-o", "dot"], "'dot' is not one of"),
        (["graph", "A" * 100_000], "unexpected extra argument"),
        (["graph", "-f"], "'-f' requires an argument"),
        (["get", "nodes", "aws1"], 'there is no node named "aws1"; did you mean "aws-1"?'),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_1(arguments: list[str], complaint: str) -> None:
    answer = kgctl("--example", *arguments)
    assert answer.code == 1
    assert answer.stdout == ""
    assert complaint in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.isascii() or answer.stderr.strip().isprintable()


@pytest.mark.parametrize(
    ("arguments", "code", "command"),
    [
        (["graph", "-o"], 1, "kgctl graph"),
        (["check", "--select"], 2, "kgctl check"),
        (["path", "--at"], 2, "kgctl path"),
        (["showconf", "peer", "laptop", "--dns"], 1, "kgctl showconf peer"),
        (["peer", "add", "--endpoint"], 1, "kgctl peer add"),
        (["--at"], 1, "kgctl"),
    ],
)
def test_an_option_without_its_value_is_a_mistake_of_its_command(
    arguments: list[str], code: int, command: str
) -> None:
    answer = kgctl("--example", *arguments)
    assert (answer.code, answer.stdout) == (code, "")
    assert answer.stderr == (
        f"Option '{arguments[-1]}' requires an argument. See: {command} --help\n"
    )


@pytest.mark.parametrize(
    "given",
    [
        ["--allowed-ips", "192.168.7.0/24,192.168.8.0/24", "--allowed-ips", "192.168.9.1/24"],
        ["--allowed-ips=192.168.7.0/24", "--allowed-ips=192.168.8.0/24,192.168.9.1/24"],
    ],
)
def test_slices_are_repeated_and_comma_separated(given: list[str]) -> None:
    for kind, name in (("peer", "laptop"), ("node", "aws-1")):
        plain = kgctl("--example", "showconf", kind, name, "--as-peer").stdout.splitlines()
        answer = kgctl("--example", "showconf", kind, name, "--as-peer", *given)
        added = ", 192.168.7.0/24, 192.168.8.0/24, 192.168.9.1/24"
        assert answer.stdout.splitlines() == [plain[0], plain[1] + added, *plain[2:]]


def test_a_name_that_is_unknown_or_not_ready_is_explained_before_the_message() -> None:
    misspelt = kgctl("--example", "showconf", "peer", "lapto")
    assert misspelt.stderr == (
        'did you mean "laptop"?\ndid not find any peer named "lapto" in the cluster\n'
    )
    stale = kgctl("--example", "showconf", "node", "home-tv")
    assert stale.stderr.startswith('node "home-tv" takes no part in the network: heartbeat 3h old')
    invalid = kgctl("--example", "showconf", "peer", "tablet")
    assert 'allowed IP "10.5.0.4" is not a CIDR' in invalid.stderr
    assert [answer.code for answer in (misspelt, stale, invalid)] == [1, 1, 1]


def _node(name: str, **annotations: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {f"kilo.squat.ai/{key}": text for key, text in annotations.items()},
        },
    }


def test_without_a_ready_node_each_is_explained_up_to_ten(tmp_path: Path) -> None:
    nodes = [_node(f"n{number:02}", endpoint="1.2.3.4:x") for number in range(13)]
    manifest = tmp_path / "nodes.json"
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
    answer = kgctl("graph", "-f", str(manifest))
    lines = answer.stderr.splitlines()
    assert answer.code == 1
    assert lines[0] == "did not find any valid Kilo nodes in the cluster"
    assert lines[1] == '  n00: bad endpoint "1.2.3.4:x", no key, no pod CIDR, no heartbeat'
    assert lines[11] == "  and 3 more; see: kgctl get nodes"


def test_a_snapshot_is_judged_as_of_its_newest_heartbeat(tmp_path: Path) -> None:
    manifest = tmp_path / "old.json"
    node = _node(
        "n1",
        endpoint="1.2.3.4:5",
        key="YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo=",
        granularity="full",
        **{"last-seen": "1600000000"},
    )
    manifest.write_text(json.dumps({**node, "spec": {"podCIDR": "10.42.0.0/24"}}))
    refused = kgctl("-f", str(manifest), "get", "segments")
    assert "a snapshot in files is judged as of its own time with --at newest" in refused.stderr
    for moment in ("newest", "1600000059", "2020-09-13T12:27:39Z"):
        assert kgctl("-f", str(manifest), "--at", moment, "get", "segments").code == 0
    assert kgctl("-f", str(manifest), "--at", "1600000060", "get", "segments").code == 1


def test_two_programs_and_a_module_are_the_same() -> None:
    expected = kgctl("--example", "get", "peers").stdout
    for program in ("kgctl", "kubectl-kilo"):
        path = os.path.join(os.path.dirname(sys.executable), program)  # noqa: PTH118, PTH120
        run = subprocess.run(
            [path, "--example", "get", "peers"], capture_output=True, text=True, check=True
        )
        assert run.stdout == expected


def test_manifests_come_from_stdin_too(monkeypatch: pytest.MonkeyPatch) -> None:
    node = json.dumps(_node("from-stdin"))

    class Input:
        buffer = io.BytesIO(node.encode())

    monkeypatch.setattr(sys, "stdin", Input())
    answer = kgctl("get", "nodes", "-f", "-", "-o", "name")
    assert answer.stdout == "node/from-stdin\n"


def test_a_fault_of_ours_says_how_to_report_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    for module in ("core.plain", "commands.pictures"):
        monkeypatch.setattr(f"kgctl.cli.{module}.read", broken)
    answer = kgctl("--example", "graph")
    assert answer.code == 1
    assert answer.stderr.startswith("internal error: ZeroDivisionError; run it again with --debug")
    for option in ("--debug", "--debug=true", "--debug=1"):
        assert "Traceback" in kgctl("--example", "graph", option).stderr
