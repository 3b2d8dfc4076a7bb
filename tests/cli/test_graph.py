"""``kgctl graph``: formats, files and errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from kgctl.cli.commands.pictures import install_command, plugin_hint
from tests.support.recorded import CLUSTERS, kgctl, load

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = ("--example", "graph")
BEGINNINGS = {
    "svg": b"<?xml", "png": b"\x89PNG\r\n", "pdf": b"%PDF-", "dot": b"digraph kilo {",
    "gv": b"digraph kilo {", "mmd": b"flowchart TB\n", "mermaid": b"flowchart TB\n",
    "json": b'{\n  "schema": "kgctl-graph",\n  "version": 1,', "txt": b"Kilo network 10.4.0.0/16",
}  # fmt: skip


@pytest.mark.needs("dot")
@pytest.mark.parametrize("ending", BEGINNINGS)
def test_the_ending_of_a_file_says_its_format(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"kilo.{ending}"
    answer = kgctl(*EXAMPLE, "-O", str(file))
    assert (answer.code, answer.stdout, answer.stderr) == (0, "", "")
    assert file.read_bytes().startswith(BEGINNINGS[ending])
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    file, link = tmp_path / "kilo.dot", tmp_path / "link.dot"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    assert kgctl(*EXAMPLE, "-O", str(link)).code == 0
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert file.read_text() == kgctl(*EXAMPLE).stdout


def test_a_device_is_written_into() -> None:
    assert kgctl(*EXAMPLE, "-o", "json", "-O", os.devnull).code == 0
    assert not os.path.isfile(os.devnull)  # noqa: PTH113


@pytest.mark.needs("dot")
@pytest.mark.parametrize("recording", CLUSTERS, ids=lambda path: path.stem)
def test_every_golden_cluster_is_a_well_formed_svg(recording: Path, tmp_path: Path) -> None:
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps(load(recording)[0]))
    for style in ("plain", "rich"):
        answer = kgctl("-f", str(file), "graph", "-o", "svg", "--style", style,
                       "--mesh-granularity", "location")  # fmt: skip
        if answer.code == 0:
            assert ElementTree.fromstring(answer.stdout).tag.endswith("svg")
        else:
            assert "did not find any valid Kilo nodes" in answer.stderr


@pytest.mark.needs("dot", "neato-layout")
@pytest.mark.parametrize("layout", ["dot", "neato", "fdp", "sfdp", "circo", "twopi"])
@pytest.mark.parametrize("style", ["plain", "rich"])
def test_every_layout_draws(layout: str, style: str) -> None:
    answer = kgctl(*EXAMPLE, "-o", "svg", "--layout", layout, "--style", style)
    assert answer.code == 0
    assert "aws&#45;1" in answer.stdout


def test_json_is_of_its_schema() -> None:
    graph = json.loads(kgctl(*EXAMPLE, "-o", "json").stdout)
    assert (graph["schema"], graph["version"]) == ("kgctl-graph", 1)
    nodes = {node["name"]: node for node in graph["nodes"]}
    assert len(nodes) == 11
    assert nodes["home-tv"]["state"] == "stale"
    assert nodes["home-tv"]["segment"] is None
    members = [name for segment in graph["segments"] for name in segment["nodes"]]
    assert sorted(members) == sorted(name for name, node in nodes.items() if node["segment"])
    assert [peer["name"] for peer in graph["peers"]] == ["laptop", "office", "phone", "tablet"]
    peers = {peer["name"] for peer in graph["peers"]}
    for link in graph["links"]:
        for end in (link["source"], link["target"]):
            assert end["name"] in (nodes if end["kind"] == "node" else peers)
    assert {link["kind"] for link in graph["links"]} == {"local", "mesh", "peer"}


REFUSED = {
    ("-o", "gif"): '--output "gif" is unknown; give one of: dot, svg, png',
    ("-O", "kilo.gif"): "the extension of --output-file is unknown; give -o dot|svg",
    ("--style", "bold"): '--style "bold" is unknown',
    ("--layout", "osage"): '--layout "osage" is unknown',
    ("--layout", "fdp"): "--layout is for svg, png and pdf, and for dot with --style rich",
    ("-o", "json", "--style", "rich"): "--style is for dot, svg, png and pdf",
    ("-o", "json", "--collapse"): "--collapse is for pictures",
    ("--style", "plain", "--focus", "aws-1"): "--style plain draws the whole graph",
    ("--hops", "2"): "--hops counts from the node or peer that --focus names",
    ("--focus", "aws-11"): 'there is no node or peer named "aws-11"; did you mean "aws-1"?',
    ("-o", "json", "-O", "missing/kilo.json"): "cannot write missing/kilo.json",
}


@pytest.mark.parametrize("options", REFUSED, ids=" ".join)
def test_it_refuses_in_one_line(options: tuple[str, ...]) -> None:
    answer = kgctl(*EXAMPLE, *options)
    assert (answer.code, answer.stdout) == (1, "")
    assert REFUSED[options] in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.needs("script")
@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_a_terminal_gets_no_bytes(kind: str) -> None:
    command = f"{sys.executable} -m kgctl --example graph -o {kind}"
    run = subprocess.run(
        ["script", "-qec", command, "/dev/null"], capture_output=True, check=False, timeout=60
    )
    assert run.returncode == 1
    assert f"-O kilo.{kind}".encode() in run.stdout
    assert run.stdout.count(b"\n") == 1


def test_without_graphviz_one_line_says_what_to_install(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "kgctl", "--example", "graph", "-o", "svg"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("cannot draw: Graphviz's program dot is missing; install")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("kinds", "command"),
    [
        (["debian"], "sudo apt install graphviz"),
        (["linuxmint", "ubuntu", "debian"], "sudo apt install graphviz"),
        (["rocky", "rhel", "centos", "fedora"], "sudo dnf install graphviz"),
        (["alpine"], "sudo apk add graphviz"),
        (["manjaro", "arch"], "sudo pacman -S graphviz"),
        (["opensuse-leap", "suse", "opensuse"], "sudo zypper install graphviz"),
        (["darwin"], "brew install graphviz"),
        (["unheard-of"], "https://graphviz.org/download/"),
    ],
)
def test_the_command_is_that_of_the_system(kinds: list[str], command: str) -> None:
    assert command in install_command("graphviz", kinds)


NO_ENGINE = 'There is no layout engine support for "neato"'


@pytest.mark.parametrize(
    ("words", "reason", "remedy"),
    [
        # Graphviz 14 of Debian, without libgvplugin-neato-layout8
        (f"{NO_ENGINE}\n Use one of: dot\n", NO_ENGINE, "or use --layout dot"),
        # Graphviz 2, whose list of plugins was not made
        (
            f'{NO_ENGINE}\nPerhaps "dot -c" needs to be run (with installer\'s privileges) to '
            "register the plugins?\n",
            NO_ENGINE,
            "run: sudo dot -c, or use --layout dot",
        ),
        ('Format: "png" not recognized. Use one of: dot svg\n', 'Format: "png" not', "pango"),
        ("Warning: slow\n\nError: out of\x1b memory\nmore\n", "Error: out of\\x1b memory", ""),
        ("", "exit status 1", ""),
    ],
)
def test_what_graphviz_lacks_is_named_with_its_first_line(
    tmp_path: Path, words: str, reason: str, remedy: str
) -> None:
    (tmp_path / "words").write_text(words)
    (tmp_path / "dot").write_text(
        f"#!/bin/sh\ncat >/dev/null\ncat '{tmp_path}/words' >&2\nexit 1\n"
    )
    (tmp_path / "dot").chmod(0o755)
    run = subprocess.run(
        [sys.executable, "-m", "kgctl", "--example", "graph", "-o", "png", "--layout", "neato"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (1, "")
    assert f"Graphviz's neato cannot draw the graph: {reason}" in run.stderr
    assert remedy in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("plugin", "registered", "kinds", "says"),
    [
        (
            "neato_layout",
            True,
            ["debian"],
            "sudo apt install libgvplugin-neato-layout8, or use --l",
        ),
        ("neato_layout", True, ["ubuntu", "debian"], "apt install libgvplugin-neato-layout8"),
        ("pango", True, ["debian"], "sudo apt install libgvplugin-pango8"),
        ("neato_layout", True, ["alpine"], "plugin neato_layout, a separate package"),
        ("neato_layout", False, ["debian"], "run: sudo dot -c, or use --layout dot"),
        ("dot_layout", False, ["fedora"], "run: sudo dot -c"),
    ],
)
def test_a_plugin_has_a_package(plugin: str, registered: bool, kinds: list[str], says: str) -> None:
    assert says in plugin_hint(plugin, registered, kinds)


def test_a_page_is_written_whole_and_not_shaped(tmp_path: Path) -> None:
    file = tmp_path / "kilo.html"
    assert kgctl(*EXAMPLE, "-O", str(file)).code == 0
    assert file.read_text() == kgctl(*EXAMPLE, "-o", "html").stdout
    for options in (["--no-peers"], ["--collapse"], ["--layout", "fdp"]):
        answer = kgctl(*EXAMPLE, "-o", "html", *options)
        assert answer.code != 0
        assert "-o html shows the whole network" in answer.stderr
