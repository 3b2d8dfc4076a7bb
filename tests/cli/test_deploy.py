"""``kgctl deploy`` and ``kgctl drift --all`` on the command line, with a stand-in for ssh."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import fails, run
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTHING_THERE = "kgctl start\nkgctl end"
SSH = f"""#!{sys.executable}
import pathlib, sys, time
name = sys.argv[sys.argv.index("--") + 1]
folder = pathlib.Path(__file__).parent
(folder / f"{{name}}.argv").write_text("\\n".join(sys.argv))
(folder / f"{{name}}.script").write_text(sys.stdin.read())
answer = folder / f"{{name}}.answer"
if not answer.exists():
    print("ssh: connect to host", name, "port 22: No route to host", file=sys.stderr)
    sys.exit(255)
print(answer.read_text())
if "wait" in answer.read_text():
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def network(tmp_path: Path) -> Iterator[Path]:
    """A network: office and laptop with ssh, phone without."""
    with contextlib.chdir(tmp_path):
        run("init", "--name", "home", "--pool", "10.73.5.0/24")
        run("peer", "add", "office", "--endpoint", "192.0.2.1:51820", "--ssh", "office")
        run("peer", "add", "laptop", "--ssh", "ann@laptop:2222", "--sudo")
        run("peer", "add", "phone")
        (tmp_path / "ssh").write_text(SSH)
        (tmp_path / "ssh").chmod(0o755)
        yield tmp_path


def outside(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run kgctl with the stand-in for ssh on the PATH."""
    return subprocess.run(
        [sys.executable, "-m", "kgctl", *arguments, "-f", "."],
        env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path.cwd()), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["deploy", "--example"], "is for a network in a folder"),
        (["drift", "--all", "--example"], "is for a network in a folder"),
        (["deploy", "phone"], "phone (no --ssh setting); set it with: kgctl peer set NAME --ssh"),
        (["deploy", "--rollback-after", "0"], "--rollback-after"),
        (["drift", "--all", "office"], "it takes no name"),
        (["drift", "--all", "--dump", "-"], "--all has no effect with --dump"),
    ],
)
def test_what_cannot_work(arguments: list[str], expected: str) -> None:
    assert expected in fails(*arguments)


def test_an_unknown_name_has_a_suggestion() -> None:
    done = kgctl("deploy", "ofice")
    assert done.stderr.splitlines() == [
        'did you mean "office"?',
        'did not find any machine named "ofice" in the network home',
    ]


def test_no_machine_with_ssh(network: Path) -> None:
    for name in ("office", "laptop"):
        run("peer", "set", name, "--ssh", "")
    assert "no machine has an ssh setting" in kgctl("deploy").stderr


def test_a_machine_of_another_platform_is_left_out() -> None:
    run("peer", "set", "laptop", "--platform", "networkd")
    assert "laptop (its platform is networkd, not wg-quick)" in fails("deploy", "laptop")


def test_a_dry_run_shows_the_changes_and_asks_only_for_what_is_there(network: Path) -> None:
    (network / "office.answer").write_text(NOTHING_THERE)
    done = outside("deploy", "--dry-run")
    assert done.stdout.splitlines() == [
        "laptop: failed: ssh: connect to host laptop port 22: No route to host",
        "office: 2 peers added, listen port none -> 51820, addresses +10.73.5.1/32, "
        "would start the tunnel",
        "  + peer laptop: 10.73.5.2/32",
        "  + peer phone: 10.73.5.3/32",
    ]
    assert done.stderr == "left out: phone (no --ssh setting)\n"
    assert done.returncode == 1
    assert "mode=read" in (network / "office.script").read_text()
    argv = (network / "laptop.argv").read_text().split("\n")
    assert argv[-7:] == ["-l", "ann", "-p", "2222", "--", "laptop", "sudo -n sh -s"]


def test_no_key_is_on_a_command_line_or_in_the_output(network: Path) -> None:
    (network / "office.answer").write_text(NOTHING_THERE)
    done = outside("deploy", "office", "--rollback-after", "2")
    assert (
        done.stdout
        == "office: failed: the tunnel is down after the change; it rolls back by itself\n"
    )
    script = (network / "office.script").read_text()
    assert "mode=roll-back" in script
    key = (network / "keys" / "office.key").read_text().strip()
    assert key not in done.stdout + done.stderr + (network / "office.argv").read_text()


def test_the_file_of_another_tunnel_stays(network: Path) -> None:
    other = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="
    (network / "office.answer").write_text(
        f"kgctl start\nkgctl present\nkgctl key {other}\nkgctl file: [Interface]\nkgctl end"
    )
    done = outside("deploy", "office")
    assert f"there is a file for another tunnel, whose public key is {other}" in done.stdout
    assert done.returncode == 1


def test_a_tunnel_that_is_up_under_another_name_stays(network: Path) -> None:
    from kgctl.wireguard.keys import read_private_key

    own = read_private_key(network / "keys" / "office.key").public_key()
    (network / "office.answer").write_text(
        f"kgctl start\nkgctl dump: office\t(none)\t{own}\t51820\toff\nkgctl end"
    )
    done = outside("deploy", "office")
    assert "its tunnel is up as the interface office, and would be home" in done.stdout
    assert done.returncode == 1


def test_an_interrupt_says_what_becomes_of_the_machines(network: Path) -> None:
    (network / "office.answer").write_text("wait")
    program = subprocess.Popen(
        [sys.executable, "-m", "kgctl", "deploy", "office", "-f", "."],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not (network / "office.script").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    program.send_signal(signal.SIGINT)
    said = program.communicate(timeout=30)
    assert said[0] == ""
    assert "undoes it by itself within 60 s" in said[1]
    assert program.returncode == 130


def test_drift_of_all_machines(network: Path) -> None:
    (network / "office.answer").write_text(NOTHING_THERE)
    done = outside("drift", "--all")
    assert done.stdout.splitlines() == [
        "MACHINE   STATE         WHAT",
        "laptop    unreachable   ssh: connect to host laptop port 22: No route to host",
        "office    differs       the tunnel is down, no file",
    ]
    assert done.returncode == 1
    done = outside("drift", "--all", "-o", "json")
    assert [one["state"] for one in json.loads(done.stdout)["machines"]] == [
        "unreachable",
        "differs",
    ]
    (network / "office.answer").unlink()
    assert outside("drift", "--all").returncode == 2
