"""Look-ups of names: within the request's timeout, one thread per name, none for addresses."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import ClusterError, RequestTimeoutError, UnreachableError
from kgctl.kube.access.kubeconfig import Access
from kgctl.kube.failures import LookupTimeoutError
from kgctl.kube.fast.lean import LeanTransport
from kgctl.kube.http.dial import Dialler, Found
from kgctl.kube.http.package import PackageTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Found = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))


class Resolver:
    """One that says nothing before ``answer`` is set; ``asked`` is what it was asked, and where."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.asked: list[tuple[str | bytes, threading.Thread]] = []

    def __call__(self, host: str | bytes, port: int) -> list[Found]:
        self.asked.append((host, threading.current_thread()))
        self.answer.wait(30)
        return [HERE]


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.answer.set()


def unused(_found: Found, _seconds: float | None) -> socket.socket:
    raise AssertionError("there is nothing to connect to")


def soon(seconds: float = 0.1) -> float:
    return time.monotonic() + seconds


def test_dialler_waits_for_a_name_until_the_deadline(resolver: Resolver) -> None:
    start = time.monotonic()
    with pytest.raises(LookupTimeoutError):
        Dialler(resolver).connect("a.example", 1, soon(), unused)
    assert 0.1 <= time.monotonic() - start < 5


def test_dialler_has_one_thread_for_a_name_that_hangs(resolver: Resolver) -> None:
    dialler = Dialler(resolver)
    for _ in range(3):
        with pytest.raises(LookupTimeoutError):
            dialler.connect("a.example", 1, soon(0.02), unused)
    assert len(resolver.asked) == 1
    with pytest.raises(LookupTimeoutError):
        dialler.connect("b.example", 1, soon(0.02), unused)
    assert [host for host, _ in resolver.asked] == ["a.example", "b.example"]
    assert all(thread.daemon for _, thread in resolver.asked)


def test_dialler_looks_a_name_up_again_once_it_was_answered(resolver: Resolver) -> None:
    resolver.answer.set()
    dialler, tried = Dialler(resolver), []

    def attempt(found: Found, _seconds: float | None) -> socket.socket:
        tried.append(found)
        return made

    with socket.socket() as made:
        for _ in range(2):
            assert dialler.connect("a.example", 1, None, attempt) is made
    assert tried == [HERE, HERE]
    assert len(resolver.asked) == 2


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", b"192.0.2.1"])
def test_dialler_needs_no_thread_for_an_address(resolver: Resolver, host: str | bytes) -> None:
    resolver.answer.set()
    with socket.socket() as made:
        Dialler(resolver).connect(host, 1, soon(), lambda _found, _seconds: made)
    assert resolver.asked == [(host, threading.current_thread())]


def test_dialler_raises_what_the_look_up_does() -> None:
    def refuse(_host: str | bytes, _port: int) -> list[Found]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    with pytest.raises(socket.gaierror, match="no such name"):
        Dialler(refuse).connect("a.example", 1, soon(), unused)


def test_dialler_has_no_time_left_for_a_look_up(resolver: Resolver) -> None:
    with pytest.raises(LookupTimeoutError, match="took too long"):
        Dialler(resolver).connect("a.example", 1, soon(-1), unused)


def test_dialler_tries_each_address_within_the_deadline() -> None:
    tried: list[float | None] = []

    def attempt(_found: Found, seconds: float | None) -> socket.socket:
        tried.append(seconds)
        time.sleep(0.15)
        raise ConnectionRefusedError

    with pytest.raises(TimeoutError):
        Dialler(lambda _host, _port: [HERE] * 9).connect("192.0.2.1", 1, soon(0.4), attempt)
    assert len(tried) == 3
    assert tried[0] is not None
    assert tried[2] is not None
    assert tried[2] < tried[0] <= 0.4


def test_lean_ends_a_look_up_that_hangs(resolver: Resolver) -> None:
    access = Access("http://api.example:8001", {}, {}, "c", 'context "c" of F', ())
    transport = LeanTransport(access, dialler=Dialler(resolver))
    with pytest.raises(RequestTimeoutError) as caught:
        transport.request("GET", "/version", {}, {}, None, 0.2)
    assert str(caught.value) == (
        'cannot find the host of the API server http://api.example:8001 (context "c" of F): '
        "looking up its name took too long; check your DNS or VPN."
    )
    assert caught.value.field == "request_timeout"


def test_package_ends_a_look_up_that_hangs(resolver: Resolver) -> None:
    user = {"username": "u", "password": "p"}
    access = Access("https://api.example:6443", {}, user, "c", 'context "c" of F', ())
    transport = PackageTransport(access, dialler=Dialler(resolver))
    with pytest.raises(RequestTimeoutError, match=r"^cannot find the host of .* took too long; "):
        transport.request("GET", "/version", {}, {}, None, 0.2)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
@pytest.mark.parametrize("server", ["http://api.example:8001", "https://api.example:6443"])
def test_package_names_a_proxy_whose_look_up_hangs(
    resolver: Resolver, scheme: str, server: str
) -> None:
    cluster = {"proxy-url": f"{scheme}://me:word@proxy.example:3128"}
    access = Access(server, cluster, {"token": "t"}, "c", "F", ())
    transport = PackageTransport(access, dialler=Dialler(resolver))
    with pytest.raises(UnreachableError) as caught:
        transport.request("GET", "/version", {}, {}, None, 0.2)
    assert str(caught.value) == (
        f"cannot reach {server} (F) through the proxy {scheme}://proxy.example:3128: looking up "
        "its name took too long; check proxy-url, HTTPS_PROXY and NO_PROXY"
    )
    assert [host for host, _ in resolver.asked] == ["proxy.example"]


def test_package_names_a_proxy_that_has_no_address() -> None:
    def refuse(_host: str | bytes, _port: int) -> list[Found]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    access = Access("http://api.example", {"proxy-url": "socks5://p.example"}, {}, "c", "F", ())
    transport = PackageTransport(access, dialler=Dialler(refuse))
    with pytest.raises(
        ClusterError, match=r"through the proxy socks5://p\.example: .*no such name"
    ):
        transport.request("GET", "/version", {}, {}, None, 5)
