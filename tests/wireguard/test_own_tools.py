"""Files for external machines, read back by the programs that use them."""

from __future__ import annotations

import configparser
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from kgctl.wireguard.keys import PrivateKey, write_key
from tests.support.recorded import kgctl
from tests.wireguard.networkd import NEEDS, complaints, read_by_networkd

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = ("--example", "showconf", "peer")
CASES = [
    ("laptop",),
    ("office",),  # with a preshared key, and a network behind it
    ("laptop", "--dns", "10.43.0.10,fd00::53", "--search-domain", "cluster.local,b.example"),
    ("laptop", "--mtu", "1380", "--listen-port", "40000", "--service-cidr", "10.43.0.0/16"),
    ("office", "--gateway", "aws-1", "--dns", "10.43.0.10", "--search-domain", "cluster.local"),
    ("laptop", "--table", "77", "--only", "home,edge-1"),
    ("laptop", "--table", "off"),
]


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "machine.key"
    write_key(path, PrivateKey.generate())
    return str(path)


def _networkd_files(*case: str) -> dict[str, str]:
    text = kgctl(*EXAMPLE, *case, "-o", "networkd").stdout
    pieces = re.split(r"^# /etc/systemd/network/(\S+)\n", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _settings(files: dict[str, str]) -> list[tuple[str, int, str, str]]:
    """Every line with a value: its file, its number, its key and the value."""
    return [
        (name, number, line.partition("=")[0], line.partition("=")[2])
        for name, text in files.items()
        for number, line in enumerate(text.split("\n"), 1)
        if "=" in line and not line.startswith("#")
    ]


@pytest.mark.needs(*NEEDS)
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_networkd_takes_every_line(case: tuple[str, ...], key: str, tmp_path: Path) -> None:
    files = _networkd_files(*case, "--private-key", key)
    said = read_by_networkd(tmp_path / "read", files)
    assert 'kilo0: loaded "wireguard"' in said
    assert not [line for line in said if "kilo0.net" in line], said


@pytest.mark.needs(*NEEDS)
def test_networkd_would_have_said_so_of_any_of_them(key: str, tmp_path: Path) -> None:
    """Each value in turn means something: networkd complains of exactly those that are broken."""
    files = _networkd_files(*CASES[4], "--private-key", key)
    broken = {
        name: re.sub(r"^(?!Name|Kind|#)(\w+)=.*$", r"\1=a..b", text, flags=re.MULTILINE)
        for name, text in files.items()
    }
    expected = {
        f"{name}:{number}"
        for name, number, setting, _ in _settings(files)
        if setting not in ("Name", "Kind")
    }
    assert len(expected) > 30
    assert set(complaints(read_by_networkd(tmp_path / "read", broken))) >= expected
    unknown = {name: re.sub("^Address=", "Adress=", text, flags=re.MULTILINE)
               for name, text in files.items()}  # fmt: skip
    said = read_by_networkd(tmp_path / "unknown", unknown)
    assert any("Unknown key 'Adress'" in line for line in said)


@pytest.mark.needs(*NEEDS)
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_networkd_sets_the_addresses_and_rules(
    case: tuple[str, ...], key: str, tmp_path: Path
) -> None:
    files = _networkd_files(*case, "--private-key", key)
    said = read_by_networkd(tmp_path / "read", {"kilo0.network": files["kilo0.network"]}, link=True)
    asked = [
        match[1]
        for line in said
        if (match := re.match(r"kilo0: Requesting static address \([^)]*\): (\S+) ", line))
    ]
    addresses = [value for _, _, name, value in _settings(files) if name == "Address"]
    assert addresses
    assert sorted(asked) == sorted(addresses)
    rules = {
        (match[1], match[2], match[3])
        for line in said
        if (match := re.match(
            r"kilo0: Requesting static routing policy rule .*priority: (\d+), (\S+) -> .*"
            r"table: (\w+)", line,
        ))
    }  # fmt: skip
    both = ("0.0.0.0/0", "::/0")
    wanted = {(n, net, table) for n, table in (("9", "main"), ("10", "51820")) for net in both}
    assert rules == (wanted if "--gateway" in case else set())


def _keyfile(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def _read_by_network_manager(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nmcli", "--offline", "connection", "modify", "connection.autoconnect", "no"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.needs("nmcli")
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_network_manager_reads_what_we_wrote(case: tuple[str, ...], key: str) -> None:
    ours = kgctl(*EXAMPLE, *case, "-o", "nmconnection", "--private-key", key).stdout
    answer = _read_by_network_manager(ours)
    assert (answer.returncode, answer.stderr) == (0, "")
    found, written = _keyfile(answer.stdout), _keyfile(ours)
    assert found["connection"].pop("autoconnect") == "false"  # it did read it
    assert found.pop("proxy") == {}
    for section in written.values():
        section.pop("preshared-key-flags", None)  # 0, the default: it leaves that out
    for section in found.values():
        section.pop("preshared-key-flags", None)
    assert found == written
    assert sum(name.startswith("wireguard-peer.") for name in found) > 1


def test_each_says_where_a_missing_key_goes() -> None:
    files = _networkd_files("laptop")
    assert "# the peer laptop, for: systemd-networkd\n" in files["kilo0.netdev"]
    assert "or put it here: PrivateKey = ..." in files["kilo0.netdev"]
    keyfile = kgctl(*EXAMPLE, "laptop", "-o", "nmconnection").stdout
    assert "# private-key=...\n" in keyfile


@pytest.mark.needs("nmcli")
@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("private-key=", "private-key=x"),
        ("endpoint=", "endpoint=x"),
        ("allowed-ips=", "allowed-ips=x;"),
        ("address1=", "address1=x"),
        ("[wireguard-peer.", "[wireguard-peer.x"),
    ],
)
def test_network_manager_would_not_have_read_another(line: str, broken: str, key: str) -> None:
    ours = kgctl(*EXAMPLE, "laptop", "-o", "nmconnection", "--private-key", key).stdout
    wrong = re.sub(rf"^{re.escape(line)}.*?(?=\]?$)", broken, ours, count=1, flags=re.MULTILINE)
    assert wrong != ours
    answer = _read_by_network_manager(wrong)
    assert (
        answer.returncode != 0
        or _keyfile(answer.stdout).keys() != _keyfile(ours).keys()
        or (broken not in answer.stdout)
    )
