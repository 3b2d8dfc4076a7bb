"""The answers of a machine, which may be anything; and the command line of ssh."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import KgctlError
from kgctl.mesh.peer import SshTarget
from kgctl.remote.machine import Machine, MachineError
from kgctl.remote.ssh import InterruptedRunError, Said, Ssh, SshError, command
from kgctl.wireguard.conf import Configuration, Interface
from kgctl.wireguard.deployment import Method, Plan
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from pathlib import Path

TARGET = SshTarget("host.example", "admin", 2222)


class Answering:
    """In place of ssh: a machine with a given answer."""

    def __init__(self, output: bytes, code: int = 0, error: str = "") -> None:
        self.said = Said(code, output, error)
        self.scripts: list[bytes] = []

    def run(self, _target: SshTarget, script: bytes, _seconds: float, *, sudo: bool) -> Said:
        assert not sudo
        self.scripts.append(script)
        return self.said


def machine(answer: Answering) -> Machine:
    return Machine(answer, TARGET, sudo=False, interface="home")  # type: ignore[arg-type]


def test_what_a_profile_prints_is_passed_over() -> None:
    output = (
        b"Welcome!\nkgctl start\nkgctl present\nnoise\nkgctl file: [Interface]\n"
        b"kgctl file: # kgctl end\nkgctl dump: home\t(none)\t(none)\t51820\toff\nkgctl end\nbye\n"
    )
    found = machine(Answering(output)).read()
    assert found.text == "[Interface]\n# kgctl end"
    assert found.device("home") is not None
    assert not found.pending


@pytest.mark.parametrize(
    ("output", "error", "expected"),
    [
        (b"", "Permission denied (publickey).", "Permission denied"),
        (b"kgctl start\nkgctl present\n", "", "without an answer"),
        (b"", "", "exit code 255"),
    ],
)
def test_half_an_answer_is_none(output: bytes, error: str, expected: str) -> None:
    with pytest.raises(SshError, match=expected.replace("(", r"\(")):
        machine(Answering(output, 255, error)).read()


@pytest.mark.parametrize("code", ["root", "missing wg", "busy", "undone RTNETLINK \x1b[2J", "what"])
def test_a_refusal_has_words(code: str) -> None:
    with pytest.raises(MachineError) as caught:
        machine(Answering(f"kgctl start\nkgctl error {code}\nkgctl end\n".encode())).read()
    assert str(caught.value).isprintable()
    assert str(caught.value)


@given(st.binary(max_size=300))
def test_any_answer_is_read_or_refused(content: bytes) -> None:
    for output in (content, b"kgctl start\nkgctl dump: " + content + b"\nkgctl end\n"):
        try:
            machine(Answering(output)).read()
        except KgctlError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_secrets_and_values_go_as_data() -> None:
    key = PrivateKey.generate()
    answering = Answering(b"kgctl start\nkgctl applied\nkgctl end\n")
    wanted = Configuration(Interface(private_key=key, comments=("$(reboot) `reboot` 'x'",)))
    applied = machine(answering).apply(Plan(Method.START), wanted, key.public_key(), 60, 5)
    assert applied.lost is None
    (script,) = answering.scripts
    head, _, _ = script.partition(b"# The part of kgctl")
    # run the data functions alone: the shell prints them as they are
    done = subprocess.run(["sh", "-s"], input=head + b"kgctl_file", capture_output=True, check=True)
    assert done.stdout.decode() == str(wanted)
    assert f"token={applied.token}" in head.decode()


def test_the_command_line_of_ssh() -> None:
    argv = command(TARGET, sudo=True, connect_seconds=7)
    assert argv[-3:] == ["--", "host.example", "sudo -n sh -s"]
    assert argv[argv.index("-l") + 1 : argv.index("--")] == ["admin", "-p", "2222"]
    assert {"-oBatchMode=yes", "-oConnectTimeout=7", "-oControlPath=none"} <= set(argv)
    assert command(SshTarget("alias"), sudo=False, connect_seconds=1)[-3:] == [
        "--", "alias", "sh -s",
    ]  # fmt: skip


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "ssh"


def written(path: Path, code: str) -> None:
    path.write_text(f"#!{sys.executable}\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_an_answer_without_end_is_cut_off(program: Path) -> None:
    written(program, "import sys\nwhile True: sys.stdout.write('x' * 65536)")
    with pytest.raises(SshError, match="printed too much"):
        Ssh(str(program)).run(TARGET, b"", 60, sudo=False)


def test_no_answer_ends_in_time(program: Path) -> None:
    written(program, "import time\ntime.sleep(60)")
    start = time.monotonic()
    with pytest.raises(SshError, match="no answer within 1 s"):
        Ssh(str(program)).run(TARGET, b"x" * 1_000_000, 1, sudo=False)  # nobody reads it
    assert time.monotonic() - start < 20


def test_stop_ends_what_runs(program: Path) -> None:
    written(program, "import time\ntime.sleep(60)")
    ssh = Ssh(str(program))
    threading.Timer(0.3, ssh.stop).start()
    with pytest.raises(InterruptedRunError):
        ssh.run(TARGET, b"", 60, sudo=False)
    with pytest.raises(InterruptedRunError):
        ssh.run(TARGET, b"", 60, sudo=False)


def test_ssh_that_is_not_installed(program: Path) -> None:
    with pytest.raises(SshError, match="install OpenSSH's client"):
        Ssh(str(program)).run(TARGET, b"", 5, sudo=False)
