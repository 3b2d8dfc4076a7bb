"""Limits of ``showconf``: options, the settings file, warnings, and records in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.recorded import kgctl
from tests.support.several import NOW, node, options, peer, west, write

if TYPE_CHECKING:
    from pathlib import Path

EVIL = {
    "allowed_location_ips": "0.0.0.0/5,11.0.0.0/8,12.0.0.0/6,16.0.0.0/4,32.0.0.0/3,64.0.0.0/2,"
    "128.0.0.0/3,198.51.100.0/24,192.168.44.0/24"
}
"""Most of the Internet, without what others claim, which Kilo filters out."""
WARNING = (
    "refused: node evil claims 0.0.0.0/5, 11.0.0.0/8, 12.0.0.0/6, 128.0.0.0/3 and 4 more: that is "
    "all or most of the Internet; if that is right: --accept evil=0.0.0.0/5\n"
)
EXIT = peer("exit", "10.5.2.1/32", "0.0.0.0/0")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    objects = [*west(), node("evil", 1, 9, "x", **EVIL)]
    return ["-f", str(write(tmp_path / "west.yaml", objects)), "--at", NOW]


def networks(text: str) -> set[str]:
    lines = [line for line in text.splitlines() if line.startswith("AllowedIPs = ")]
    return {one for line in lines for one in line.removeprefix("AllowedIPs = ").split(", ")}


FILE = ("showconf", "peer", "laptop", "-o", "wg-quick")


def test_a_file_has_what_is_granted_and_the_rest_is_said(cluster: list[str]) -> None:
    done = kgctl(*cluster, *FILE)
    assert done.stderr == WARNING
    assert "192.168.44.0/24" in networks(done.stdout)
    assert not networks(done.stdout) & {"0.0.0.0/5", "128.0.0.0/3", "198.51.100.0/24"}
    for kind in ("networkd", "nmconnection"):
        other = kgctl(*cluster, *FILE[:-1], kind)
        assert other.stderr == done.stderr
        assert "128.0.0.0/3" not in "".join(
            line for line in other.stdout.splitlines() if not line.startswith("#")
        )


def test_the_formats_of_the_reference_go_by_kilos_rules(cluster: list[str]) -> None:
    done = kgctl(*cluster, "showconf", "peer", "laptop")
    assert {"0.0.0.0/5", "128.0.0.0/3", "198.51.100.0/24"} <= networks(done.stdout)
    assert done.stderr == ""


def test_consent(cluster: list[str]) -> None:
    done = kgctl(*cluster, *FILE, "--accept", "evil=198.51.100.0/24,evil=16.1.0.0/16")
    assert {"198.51.100.0/24", "16.1.0.0/16"} <= networks(done.stdout)
    assert "16.0.0.0/4" not in networks(done.stdout)
    assert "--accept evil=198.51.100.0/24,evil=16.1.0.0/16" in done.stdout


def test_a_peer_with_a_default_route(tmp_path: Path) -> None:
    source = ["-f", str(write(tmp_path / "west.yaml", [*west(), EXIT])), "--at", NOW]
    done = kgctl(*source, *FILE)
    assert done.stderr == (
        "refused: peer exit claims 0.0.0.0/0: that is all or most of the Internet; if that is "
        "right: --accept exit=0.0.0.0/0\n"
    )
    assert "10.5.2.1/32" in networks(done.stdout)
    assert "0.0.0.0/0" not in networks(done.stdout)
    agreed = kgctl(*source, *FILE, "--accept", "exit=0.0.0.0/0")
    assert agreed.stderr == ""
    assert "0.0.0.0/0" in networks(agreed.stdout)
    own = kgctl(*source, "showconf", "peer", "exit", "-o", "wg-quick")
    assert own.stderr == ""


def test_limits(cluster: list[str]) -> None:
    done = kgctl(*cluster, *FILE, "--only-networks", "10.0.0.0/8", "--deny", "10.1.2.0/24")
    assert networks(done.stdout)
    assert all(one.startswith("10.") for one in networks(done.stdout))
    assert "10.1.1.0/24" in networks(done.stdout)
    assert "10.1.2.0/24" not in networks(done.stdout)
    assert "192.168.44.0/24" not in done.stderr  # as it was asked for
    assert "refused: node evil claims 172.17.0.9/32, 192.168.44.0/24: it is outside" in done.stdout
    assert "refused: node w2 claims 10.1.2.0/24: the limits deny it" in done.stdout


def test_limits_in_the_settings_file(cluster: list[str], tmp_path: Path) -> None:
    (tmp_path / "kgctl.toml").write_text(
        '[limits]\nonly-networks = ["10.0.0.0/8", "198.51.100.0/24"]\n'
        'deny = ["10.1.2.0/24"]\naccept = ["evil=198.51.100.0/24"]\n'
    )
    done = kgctl(*cluster, *FILE)
    found = networks(done.stdout)
    assert "198.51.100.0/24" in found
    assert not found & {"10.1.2.0/24", "192.168.44.0/24", "172.17.0.9/32"}
    file = tmp_path / "laptop.conf"
    file.write_text(done.stdout)
    (tmp_path / "kgctl.toml").unlink()
    same = kgctl(*cluster, "drift", "laptop", "--dump", str(file))
    assert same.code == 0, same.stdout
    other = kgctl(*cluster, "drift", "laptop", "--dump", str(file), "--deny", "10.1.1.0/24")
    assert other.code == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[limits]\ndenied = ["10.0.0.0/8"]\n', 'unknown key "denied" in [limits]'),
        ('[limits]\ndeny = "10.0.0.0/8"\n', "limits.deny is not a list of texts"),
        ('[limits]\ndeny = ["10.0.0.0/33"]\n', '--deny "10.0.0.0/33" is not a CIDR'),
        ('[limits]\naccept = ["10.0.0.0/8"]\n', '--accept "10.0.0.0/8" does not have the form'),
        ("[limit]\n", 'unknown key "limit"; did you mean "limits"?'),
    ],
)
def test_a_wrong_settings_file(cluster: list[str], tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "kgctl.toml").write_text(text)
    done = kgctl(*cluster, *FILE)
    assert done.code == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_name_that_nobody_has(cluster: list[str]) -> None:
    done = kgctl(*cluster, *FILE, "--accept", "evli=198.51.100.0/24")
    assert '--accept "evli" is not a node or peer of the network; did you mean "evil"?' in (
        done.stderr
    )


def test_check_a_name_that_nobody_has(cluster: list[str], tmp_path: Path) -> None:
    unknown = '--accept "evli" is not a node or peer of the network; did you mean "evil"?'
    (tmp_path / "kgctl.toml").write_text('[limits]\naccept = ["evli=198.51.100.0/24"]\n')
    accepted = ("evli=192.0.2.0/24", "evil=192.0.2.0/24", "laptop=192.0.2.0/24", "*=192.0.2.0/24")
    options = [word for one in accepted for word in ("--accept", one)]
    for given in ([], options):
        done = kgctl(*cluster, "check", "--offline", *given)
        assert done.stderr.count(unknown) == 1
        assert done.stderr.count("is not a node or peer") == 1
    (tmp_path / "kgctl.toml").unlink()
    done = kgctl(*cluster, "check", "--offline", *options[2:])
    assert "is not a node or peer" not in done.stderr


def test_an_option_without_effect(cluster: list[str]) -> None:
    for option in (["--deny", "10.0.0.0/8"], ["--accept", "a=::/0"]):
        done = kgctl(*cluster, "showconf", "peer", "laptop", *option)
        assert done.code == 1
        assert "goes with -o wg-quick, qr, networkd or nmconnection only" in done.stderr


def test_each_refusal_is_said_once_for_all_files(tmp_path: Path) -> None:
    evil = node("evil", 1, 9, "x", **EVIL)
    source = ["-f", str(write(tmp_path / "west.yaml", [*west(), evil])), "--at", NOW]
    done = kgctl(*source, "showconf", "peer", "--all", "-d", str(tmp_path), "-o", "wg-quick")
    assert done.stderr.count("refused: node evil claims") == 1


def test_of_several_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evil = [*west(), node("evil", 1, 9, "x", **EVIL)]
    east = [node("evil", 2, 1, "asia"), peer("laptop", "10.5.0.1/32", persistentKeepalive=25)]
    clusters = options(tmp_path, {"west": evil, "east": east})
    done = kgctl(*clusters, *FILE)
    assert WARNING in done.stderr
    assert "198.51.100.0/24" not in networks(done.stdout)
    for cluster, granted in (("west", True), ("east", False)):
        agreed = kgctl(*clusters, *FILE, "--accept", f"{cluster}/evil=198.51.100.0/24")
        assert ("198.51.100.0/24" in networks(agreed.stdout)) is granted, agreed.stderr
