"""Programs that do not end by themselves are ended, and no others."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kgctl.host import userspace as processes
from kgctl.host.userspace import Process, UserspaceDevice, end, process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
time.sleep(600)
"""
LISTENING = """
import socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(1)
print(flush=True)
time.sleep(600)
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    found: list[subprocess.Popen[bytes]] = []
    yield found
    for one in found:
        one.kill()
        one.wait()
        assert one.stdout is not None
        one.stdout.close()


def start(started: list[subprocess.Popen[bytes]], *argv: str) -> subprocess.Popen[bytes]:
    one = subprocess.Popen(argv, stdout=subprocess.PIPE)
    started.append(one)
    return one


def known(one: subprocess.Popen[bytes]) -> Process:
    found = process(one.pid)
    assert found is not None
    return found


def test_it_ends_by_itself_or_is_asked_or_killed(started: list[subprocess.Popen[bytes]]) -> None:
    for argv, expected, by_itself in (
        (("sleep", "0.2"), 0, 30.0),
        (("sleep", "600"), -signal.SIGTERM, 0.05),
        ((sys.executable, "-c", DEAF), -signal.SIGKILL, 0.05),
    ):
        one = start(started, *argv)
        if argv[0] == sys.executable:
            assert one.stdout is not None
            one.stdout.readline()
        end(known(one), by_itself=by_itself, asked=30.0 if expected != -signal.SIGKILL else 0.2)
        assert one.wait(5) == expected


def test_one_that_is_stopped_is_killed(started: list[subprocess.Popen[bytes]]) -> None:
    one = start(started, "sleep", "600")
    found = known(one)
    one.send_signal(signal.SIGSTOP)
    end(found, by_itself=0.05, asked=0.1)
    assert one.wait(5) == -signal.SIGKILL
    end(found)  # it is gone
    assert process(one.pid) is None


def test_another_process_of_that_id_is_left_alone(started: list[subprocess.Popen[bytes]]) -> None:
    one = start(started, "sleep", "600")
    found = known(one)
    end(found._replace(started=found.started - 1), by_itself=0.0, asked=0.0)
    assert one.poll() is None
    for number in (0, 1, -1, 1 << 30):
        assert process(number) is None
    assert processes.process(os.getpid()) is not None


def test_who_listens_at_a_socket_is_known_though_it_hangs(
    started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    device = UserspaceDevice("kilo0", tmp_path)
    assert device.process() is None
    one = start(started, sys.executable, "-c", LISTENING, str(tmp_path / "kilo0.sock"))
    assert one.stdout is not None
    one.stdout.readline()
    one.send_signal(signal.SIGSTOP)
    found = device.process()
    assert found == known(one)
    device.forget()
    assert (tmp_path / "kilo0.sock").exists()  # somebody listens
    end(found, by_itself=0.0, asked=0.0)
    one.wait(5)
    device.forget()
    assert not (tmp_path / "kilo0.sock").exists()
    with socket.socket(socket.AF_UNIX) as own:  # and one of its own is no other process
        own.bind(str(tmp_path / "kilo0.sock"))
        own.listen()
        assert device.listens()
        assert device.process() is None
