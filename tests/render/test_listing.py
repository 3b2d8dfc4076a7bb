"""Lists: as columns in a pipe, as a table on a terminal, as data."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest
import yaml

from tests.support.recorded import kgctl

MAIN = [sys.executable, "-m", "kgctl", "--example"]


def test_columns_are_aligned_and_titles_in_capitals() -> None:
    lines = kgctl("--example", "get", "nodes").stdout.splitlines()
    titles = re.split(r" {3,}", lines[0])
    assert titles == [
        "NAME", "LOCATION", "SEGMENT", "LEADER", "ENDPOINT", "WIREGUARD-IP", "POD-SUBNET",
        "HEARTBEAT", "READY",
    ]  # fmt: skip
    for title in titles:
        start = lines[0].index(title)
        assert all(line[start - 1] == " " and line[start] != " " for line in lines[1:] if start)


def test_a_node_that_is_not_ready_says_why() -> None:
    rows = {
        line.split()[0]: line for line in kgctl("--example", "get", "nodes").stdout.splitlines()
    }
    assert rows["aws-1"].endswith("yes")
    assert rows["aws-4"].endswith("no: no endpoint, no key, no heartbeat")
    assert rows["home-tv"].endswith("no: heartbeat 3h old")


@pytest.mark.parametrize("kind", ["nodes", "peers", "segments"])
def test_the_formats_agree(kind: str) -> None:
    listed = json.loads(kgctl("--example", "get", kind, "-o", "json").stdout)["items"]
    assert yaml.safe_load(kgctl("--example", "get", kind, "-o", "yaml").stdout)["items"] == listed
    names = kgctl("--example", "get", kind, "-o", "name").stdout.split()
    assert [name.rpartition("/")[2] for name in names if kind != "segments"] == [
        item["name"] for item in listed if kind != "segments"
    ]
    plain = kgctl("--example", "get", kind).stdout.splitlines()
    wide = kgctl("--example", "get", kind, "-o", "wide").stdout.splitlines()
    assert len(plain) == len(wide) == len(listed) + 1
    assert len(wide[0].split()) > len(plain[0].split())


def test_one_object_is_printed_by_itself_and_several_in_the_order_asked_for() -> None:
    one = json.loads(kgctl("--example", "get", "peer", "phone", "-o", "json").stdout)
    assert one["allowedIPs"][0] == "10.5.0.2/32"
    names = kgctl("--example", "get", "peers", "phone", "laptop", "-o", "name").stdout.split()
    assert names == ["peer.kilo.squat.ai/phone", "peer.kilo.squat.ai/laptop"]


def test_no_secret_is_listed() -> None:
    for output in ("wide", "json", "yaml"):
        text = kgctl("--example", "get", "peers", "-o", output).stdout
        shown = kgctl("--example", "showconf", "peer", "phone", "--as-peer").stdout
        secrets = re.findall(r"PresharedKey = (\S+)", shown)
        assert all(secret not in text for secret in secrets)


def _on_a_terminal(*arguments: str, **environment: str) -> str:
    """Run kgctl with a terminal of 200 columns for stdout, and return what it shows."""
    ours, theirs = pty.openpty()
    settings = {"TERM": "xterm-256color", "COLUMNS": "200", **environment}
    clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen([*MAIN, *arguments], stdout=theirs, env={**clean, **settings})
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait() == 0
    return shown.decode()


def test_a_terminal_gets_colours_unless_they_are_not_wanted() -> None:
    assert "\x1b[" in _on_a_terminal("get", "nodes")
    plain = _on_a_terminal("get", "nodes", NO_COLOR="1")
    assert "home-tv" in plain
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", plain)


def test_a_pipe_gets_no_escape_sequence() -> None:
    run = subprocess.run([*MAIN, "get", "nodes"], capture_output=True, check=True)
    assert b"\x1b" not in run.stdout


@pytest.mark.needs("script", "stty")
@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("kind", ["get nodes", "get peers", "get segments", "graph -o tree"])
def test_no_line_is_longer_than_the_terminal(kind: str, width: int) -> None:
    command = f"unset COLUMNS; stty cols {width}; {' '.join(MAIN)} {kind} 2>/dev/null"
    run = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True, text=True, check=True, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    plain = re.sub("\x1b\\[[0-9;]*m", "", run.stdout)
    lines = plain.replace("\r", "").splitlines()
    assert max(map(len, lines)) <= width
    assert plain.split()[0] in ("NAME", "Kilo")


@pytest.mark.needs("script", "stty")
def test_columns_that_have_no_room_are_named() -> None:
    command = f"unset COLUMNS; stty cols 80; {' '.join(MAIN)} get nodes"
    run = subprocess.run(
        ["script", "-qec", command, "/dev/null"], capture_output=True, text=True, check=True
    )
    assert "SEGMENT" not in run.stdout.splitlines()[0]
    assert "too narrow for SEGMENT, " in run.stdout.splitlines()[-1]
    assert run.stdout.count("home-nas") == 1
