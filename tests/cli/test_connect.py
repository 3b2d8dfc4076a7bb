"""Errors of ``kgctl connect`` and ``status`` about options, before any access."""

from __future__ import annotations

import sys

import pytest

from tests.support.recorded import kgctl

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="connect is for Linux")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mtu", "100"], "--mtu must be 576 to 65535, not 100"),
        (["--resync-period", "30"], '--resync-period "30" is not a duration above 0'),
        (["--resync-period=0s"], "not a duration above 0"),
        (["-a", "10.0.0.1"], '--allowed-ip "10.0.0.1" is not a CIDR'),
        (["--service-cidr", "10.43.0.0"], "--service-cidr"),
        (["--allowed-ips", "10.0.0.0/8,x"], '--allowed-ips "x" is not a CIDR'),
        (["-i", "a-name-that-is-too-long"], "is not a valid interface name"),
        (["-i", "../etc"], "is not a valid interface name"),
        (["--persistent-keepalive", "70000"], "must be 0 to 65535"),
        (["--dns", "dns.example"], '--dns "dns.example" is not an IP address'),
        (["--search-domain", "a b"], "is not a domain"),
        (["--log-level", "loud"], "loud"),
        (["--clean-up=maybe"], "--clean-up"),
        (["--port", "0"], "--port must be 1 to 65535, not 0"),
        (["-f", "x.yaml"], "connect needs a live cluster"),
        (["Upper_Case"], "cannot be the name of a Peer"),
        (["--kubeconfig", "/nonexistent", "--dry-run"], "/nonexistent"),
    ],
)
def test_a_wrong_option_is_one_line(options: list[str], message: str) -> None:
    name = [] if "Upper_Case" in options else ["laptop"]
    code, out, errors = kgctl("connect", *name, *options)
    assert code != 0
    assert out == ""
    assert message in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "flag",
    [
        "--allowed-ip",
        "--allowed-ips",
        "--clean-up",
        "--interface",
        "--log-level",
        "--mtu",
        "--persistent-keepalive",
        "--private-key",
        "--resync-period",
        "--backend",
        "--kubeconfig",
        "--mesh-granularity",
        "--port",
        "--topology-label",
    ],
)
def test_every_flag_of_the_reference_is_there(flag: str) -> None:
    code, out, _ = kgctl("connect", "--help")
    assert code == 0
    assert f"{flag} " in out or f"{flag}/" in out or f"{flag}," in out


def test_status_of_nothing_says_so() -> None:
    code, _, errors = kgctl("status", "kgnothing0")
    assert code == 1
    assert errors == 'this machine has no interface "kgnothing0"\n'
