"""The kernel's devices through a socket of generic netlink, and the errors of both."""

from __future__ import annotations

import errno
import os
import struct
import sys
from ipaddress import IPv6Address
from typing import Any, cast

import pytest

from kgctl.cli.core.hints import message
from kgctl.errors import HostError, PrivilegeError
from kgctl.host.kernel import KernelDevice
from kgctl.host.links import PortTakenError
from kgctl.host.netlink import GenericSocket, Netlink, told
from kgctl.mesh.endpoint import Endpoint
from kgctl.wireguard.device import DeviceChange, PeerChange
from kgctl.wireguard.keys import PrivateKey
from tests.wireguard.test_device import KEYS
from tests.wireguard.test_netlink_messages import encoded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel is Linux")

CONTROLLER, GET_FAMILY = 16, b"\x03\x01\0\0"  # of generic netlink, which every kernel has


def test_a_dump_is_read_to_its_end() -> None:
    netlink = Netlink(16)
    messages, whole = netlink.dump(CONTROLLER, GET_FAMILY)
    netlink.close()
    assert whole
    assert any(b"nlctrl\0" in one for one in messages)


def test_a_family_is_found_by_its_name() -> None:
    generic = GenericSocket("nlctrl", 2)
    messages, _ = generic.dump(3, b"")
    generic.close()
    assert any(b"nlctrl\0" in one for one in messages)


def test_a_family_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        GenericSocket("no-such-family", 1)


def test_a_refused_request_has_the_number_of_the_error() -> None:
    netlink = Netlink(16)
    with pytest.raises(OSError, match="not supported") as failed:
        netlink.dump(CONTROLLER, b"\xc8\x02\0\0")
    assert failed.value.errno == errno.EOPNOTSUPP
    assert any(b"nlctrl\0" in one for one in netlink.dump(CONTROLLER, GET_FAMILY)[0])
    netlink.close()


class Prepared:
    """A socket that answers with prepared datagrams: type, flags, number and body of a message."""

    def __init__(self, *datagrams: list[tuple[int, int, int, bytes]]) -> None:
        self.datagrams = list(datagrams)

    def __call__(self, *_: Any) -> Prepared:
        return self

    def settimeout(self, _: float) -> None: ...

    def setsockopt(self, *_: int) -> None: ...

    def send(self, data: bytes) -> None:
        assert struct.unpack_from("=I", data)[0] == len(data)

    def recv(self, _: int) -> bytes:
        return b"".join(
            struct.pack("=IHHII", 16 + len(body), kind, flags, number, 0) + body
            for kind, flags, number, body in self.datagrams.pop(0)
        )


INTERRUPTED, MANY, FAMILY, DONE = 0x10, 2, 30, 3


@pytest.mark.parametrize("where", [0, 1, 2])
def test_an_interrupted_dump_is_said(where: int, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = [INTERRUPTED if number == where else MANY for number in range(3)]
    answers = [(FAMILY, flag, 1, b"some") for flag in flags[:2]]
    monkeypatch.setattr("socket.socket", Prepared(answers, [(DONE, flags[2], 1, bytes(4))]))
    assert Netlink(16).dump(FAMILY, b"") == ([b"some", b"some"], False)


def test_a_late_answer_to_an_earlier_request_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late, own = (FAMILY, 0, 9, b"late"), (FAMILY, 0, 1, b"own!")
    monkeypatch.setattr("socket.socket", Prepared([late, own], [(DONE, 0, 1, bytes(4))]))
    assert Netlink(16).dump(FAMILY, b"") == ([b"own!"], True)


class Answering:
    """A generic socket that answers dumps in order, and refuses requests with an error."""

    def __init__(self, *dumps: tuple[list[bytes], bool], refusing: int = 0) -> None:
        self.dumps = list(dumps)
        self.refusing = refusing
        self.sent = 0

    def dump(self, *_: object) -> tuple[list[bytes], bool]:
        return self.dumps.pop(0)

    def request(self, *_: object) -> None:
        self.sent += 1
        if self.refusing:
            raise OSError(self.refusing, os.strerror(self.refusing))


def device(netlink: Answering) -> KernelDevice:
    return KernelDevice("kilo0", cast("GenericSocket", netlink))


def test_an_interrupted_device_is_read_again() -> None:
    again = [encoded([["WGDEVICE_A_LISTEN_PORT", 7]])], True
    assert device(Answering(([], False), again)).read().listen_port == 7


def test_a_device_that_never_rests_is_read_in_the_end() -> None:
    last = [encoded([["WGDEVICE_A_LISTEN_PORT", 7]])], False
    assert device(Answering(*[([], False)] * 4, last)).read().listen_port == 7


def test_an_interface_that_is_gone_is_named() -> None:
    zoned = Endpoint(IPv6Address("fe80::1%gone0"), 1)
    change = DeviceChange(peers=(PeerChange(public_key=KEYS[0], endpoint=zoned),))
    with pytest.raises(HostError, match="this machine has no interface gone0"):
        device(Answering()).apply(change)


@pytest.mark.parametrize(
    "error", [struct.error("'H' format requires 0 <= number <= 65535"), OverflowError("too big")]
)
def test_an_error_of_an_encoder_names_the_step(error: Exception) -> None:
    with (
        pytest.raises(HostError, match="cannot set it up: a number is too large"),
        told("set it up"),
    ):
        raise error


def test_an_answer_that_pyroute2_cannot_read_names_the_step() -> None:
    from pyroute2.netlink.exceptions import NetlinkNLADecodeError

    expected = pytest.raises(HostError, match="cannot read it: pyroute2 cannot read")
    with expected, told("read it"):
        raise NetlinkNLADecodeError(ValueError())


def test_a_taken_port_is_named() -> None:
    taken = device(Answering(refusing=errno.EADDRINUSE))
    with pytest.raises(PortTakenError) as raised:
        taken.apply(DeviceChange(private_key=PrivateKey(b"a" * 32), listen_port=51821))
    assert message(raised.value) == (
        "the interface kilo0 cannot listen at UDP port 51821: another interface or program of "
        "this machine does; give another port with --port"
    )
    with pytest.raises(HostError, match="cannot configure the WireGuard device kilo0: Address"):
        taken.apply(DeviceChange(private_key=PrivateKey(b"a" * 32)))
    with pytest.raises(PrivilegeError, match="CAP_NET_ADMIN"):
        device(Answering(refusing=errno.EPERM)).apply(DeviceChange(listen_port=51821))
