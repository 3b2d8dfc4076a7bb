"""A userspace WireGuard of another user neither gets nor supplies a private key."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import HostError
from kgctl.host.links import PortTakenError
from kgctl.host.userspace import UserspaceDevice
from kgctl.wireguard.device import DeviceChange
from kgctl.wireguard.keys import PrivateKey
from kgctl.wireguard.uapi import UapiError
from tests.files.users import MALLORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WITH_KEY = DeviceChange(private_key=PrivateKey.generate())


def listen(server: socket.socket, heard: int, user: int) -> int:
    """Answer as a device that has nothing, in a process of that user; write down what comes."""
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(user, user, user)
            server.listen()
            os.write(heard, b".")
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(BrokenPipeError):
                    os.write(heard, connection.recv(1 << 16))
                    connection.sendall(b"errno=0\n\n")
        finally:
            os._exit(1)
    return child


@pytest.fixture(params=[MALLORY, 0], ids=["another user's", "root's"])
def heard(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Whose program listens at kilo0.sock, and where to read what it was told."""
    reading, writing = os.pipe()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "kilo0.sock"))
        child = listen(server, writing, request.param)
    os.close(writing)
    assert os.read(reading, 1) == b"."
    os.set_blocking(reading, False)
    yield request.param, reading
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)


@pytest.mark.needs("root")
def test_only_ones_own_program_gets_a_key(tmp_path: Path, heard: tuple[int, int]) -> None:
    user, reading = heard
    device = UserspaceDevice("kilo0", tmp_path, own=True)
    if user == MALLORY:
        for act in (device.read, lambda: device.apply(WITH_KEY)):
            with pytest.raises(HostError, match=r"another user \(uid 65533\) controls"):
                act()
        with pytest.raises(BlockingIOError):
            os.read(reading, 100)
        assert UserspaceDevice("kilo0", tmp_path).read().peers == {}  # to be shown
        return
    assert device.read().peers == {}
    device.apply(WITH_KEY)
    assert b"private_key=" in os.read(reading, 1 << 16)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "kilo0.sock"))
        server.listen()

        def answer() -> None:
            for _ in range(2):
                connection, _address = server.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(b"errno=-98\n\n")

        program = Thread(target=answer)
        program.start()
        device = UserspaceDevice("kilo0", tmp_path)
        with pytest.raises(PortTakenError, match="kilo0 cannot listen at UDP port 51821: another"):
            device.apply(DeviceChange(listen_port=51821))
        with pytest.raises(UapiError, match=r"refused a change: Address already in use"):
            device.apply(WITH_KEY)
        program.join()
