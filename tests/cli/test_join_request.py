"""``kgctl join-request`` on a machine, and ``peer add --request`` of its line."""

from __future__ import annotations

import contextlib
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from kgctl.mesh.join_request import parse_join_request
from kgctl.wireguard.keys import read_private_key
from tests.support.commands import fails
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[Path]:
    with contextlib.chdir(tmp_path):
        assert kgctl("init", "net", "--pool", "10.73.5.0/24").code == 0
        yield tmp_path


def line(*arguments: str) -> str:
    done = kgctl("join-request", *arguments)
    assert done.code == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


def given(content: bytes, *arguments: str) -> tuple[int, str]:
    """Run kgctl with this on stdin; return its exit code and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "kgctl", *arguments], input=content, capture_output=True, check=False
    )
    return done.returncode, done.stderr.decode()


def spec(name: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(Path("net", f"{name}.yaml").read_text())["spec"]
    return found


def test_the_key_stays_and_the_line_holds_its_public_key() -> None:
    text = line("laptop")
    file = Path("laptop.key")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = read_private_key(file)
    assert parse_join_request(text).public_key == key.public_key()
    assert key.reveal() not in text
    assert line("laptop") == text, "an existing key is used, and not replaced"


def test_a_key_in_another_file_is_used_and_one_that_others_may_read_is_told() -> None:
    Path("wg.key").write_text("6H279hjgTPSDUjl110oRAXtMDHwfHCOu2eDvljz5N2Y=\n")
    Path("wg.key").chmod(0o644)
    done = kgctl("join-request", "laptop", "--private-key-file", "wg.key")
    assert "chmod 600 wg.key" in done.stderr
    assert (
        parse_join_request(done.stdout).public_key == read_private_key(Path("wg.key")).public_key()
    )
    assert not Path("laptop.key").exists()


def test_a_file_without_a_key_and_a_bad_value_print_nothing() -> None:
    Path("laptop.key").write_text("secret words\n")
    said = fails("join-request", "laptop")
    assert "holds no WireGuard private key" in said
    assert "secret" not in said
    for wrong in (("Laptop",), ("phone", "--endpoint", "x"), ("phone", "--lan", "10.0.0.1/32")):
        fails("join-request", *wrong)
    assert not Path("phone.key").exists()


def test_a_request_that_is_too_long_makes_no_key() -> None:
    assert "more than 300" in fails("join-request", "a" * 250, "--private-key-file", "a.key")
    assert not Path("a.key").exists()


def test_the_name_is_that_of_the_host() -> None:
    assert parse_join_request(line("--private-key-file", "a.key")).name == (
        socket.gethostname().lower()
    )


def test_a_machine_is_added_by_its_line() -> None:
    text = line("laptop", "--endpoint", "home.example:51820")
    done = kgctl("peer", "add", "--request", text, "-f", "net")
    assert done.code == 0, done.stderr
    assert done.stdout == "peer/laptop created\n"
    assert "the request names the endpoint home.example:51820" in done.stderr
    assert spec("laptop") == {
        "allowedIPs": ["10.73.5.1/32"],
        "endpoint": {"dnsOrIP": {"dns": "home.example"}, "port": 51820},
        "publicKey": str(read_private_key(Path("laptop.key")).public_key()),
    }
    assert not Path("net", "keys", "laptop.key").exists()
    shown = kgctl("showconf", "peer", "laptop", "-o", "wg-quick", "-f", "net")
    assert "PrivateKey = " in shown.stdout


def test_what_is_given_goes_before_the_line() -> None:
    text = line("laptop", "--endpoint", "home.example:51820", "--lan", "192.168.9.0/24")
    code, said = given(
        f"{text}\n".encode(),
        *("peer", "add", "den", "--endpoint", "192.0.2.7:1", "--lan", "192.168.8.0/24"),
        *("--request", "-", "-f", "net"),
    )
    assert code == 0, said
    assert "request names" not in said
    assert spec("den")["allowedIPs"] == ["10.73.5.1/32", "192.168.8.0/24"]
    assert spec("den")["endpoint"] == {"dnsOrIP": {"ip": "192.0.2.7"}, "port": 1}


def test_networks_of_a_request_need_consent() -> None:
    text = line("laptop", "--lan", "192.168.9.0/24,fd00:9::/64")
    said = fails("peer", "add", "--request", text, "-f", "net")
    assert "192.168.9.0/24,fd00:9::/64" in said
    assert "--accept-lan" in said
    assert not Path("net", "laptop.yaml").exists()
    done = kgctl("peer", "add", "phone", "--request", text, "--lan", "", "-f", "net")
    assert done.code == 0, done.stderr
    assert spec("phone")["allowedIPs"] == ["10.73.5.1/32"]
    assert kgctl("peer", "rm", "phone", "-f", "net").code == 0
    done = kgctl("peer", "add", "--request", text, "--accept-lan", "-f", "net")
    assert done.code == 0, done.stderr
    assert "the request names the networks 192.168.9.0/24,fd00:9::/64" in done.stderr
    assert spec("laptop")["allowedIPs"] == ["10.73.5.1/32", "192.168.9.0/24", "fd00:9::/64"]


def test_a_request_is_checked_as_any_new_peer_is() -> None:
    text = line("laptop", "--lan", "10.73.5.0/25")
    assert kgctl("peer", "add", "hub", "-f", "net").code == 0
    assert "overlaps" in kgctl("peer", "add", "--request", text, "--accept-lan", "-f", "net").stderr
    plain = line("laptop")
    assert kgctl("peer", "add", "--request", plain, "-f", "net").code == 0
    assert "already exists" in fails("peer", "add", "--request", plain, "-f", "net", "--force")
    assert "public key" in fails("peer", "add", "other", "--request", plain, "-f", "net")


def test_a_line_that_is_none_adds_nothing() -> None:
    text = line("laptop")
    damaged = re.sub(r".$", lambda last: "a" if last[0] != "a" else "b", text)
    assert "damaged or incomplete" in fails("peer", "add", "--request", damaged, "-f", "net")
    assert "no request to join" in fails("peer", "add", "--request", "\x1b[2J", "-f", "net")
    code, said = given(bytes(range(256)) * 99, "peer", "add", "--request", "-", "-f", "net")
    assert code != 0
    assert "no request to join" in said
    assert said.count("\n") == 1
    assert "give the NAME" in fails("peer", "add", "-f", "net")
    assert "--accept-lan is about" in fails("peer", "add", "a", "--accept-lan", "-f", "net")
    assert "its machine" in fails(
        "peer", "add", "--request", text, "--private-key-file", "x.key", "-f", "net"
    )
    assert sorted(one.name for one in Path("net").glob("*.yaml")) == ["network.yaml"]
