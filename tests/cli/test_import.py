"""``kgctl import``: files of other programs become a network in a folder, or nothing does."""

from __future__ import annotations

import contextlib
import stat
from typing import TYPE_CHECKING

import pytest
import yaml

from kgctl.wireguard.keys import read_private_key
from tests.support.foreign import (
    ANA,
    ANGRISTAN,
    BEA,
    KEYFILE,
    MESHCONF,
    NETDEV,
    NETWORK,
    PIVPN,
    PSK,
    SECRET,
    SERVER,
    SERVER_FILES,
)
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.recorded import Answer

AT = ("--endpoint", "vpn.example.com")


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[Path]:
    with contextlib.chdir(tmp_path):
        yield tmp_path


def run(*arguments: str) -> Answer:
    done = kgctl(*arguments)
    assert done.code == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert PSK not in done.stdout + done.stderr
    return done


def fails(*arguments: str) -> str:
    done = kgctl(*arguments)
    assert (done.code, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr


def spec(path: Path) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(path.read_text())["spec"]
    return found


def names(folder: Path) -> set[str]:
    return {one.stem for one in folder.glob("*.yaml")} - {"network"}


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("program", SERVER_FILES)
def test_a_server_file_becomes_a_network(here: Path, program: str) -> None:
    text, machines = SERVER_FILES[program]
    (here / "wg0.conf").write_text(text)
    done = run("import", "wg0.conf", "--into", "net", *AT)
    created = ["network/net", *(f"peer/{name}" for name in machines)]
    assert done.stdout.splitlines() == [f"{one} created" for one in created]
    assert names(here / "net") == set(machines)
    assert yaml.safe_load((here / "net" / "network.yaml").read_text())["pools"] == ["10.6.0.0/24"]
    server = spec(here / "net" / "server.yaml")
    assert server == {
        "allowedIPs": ["10.6.0.1/32"],
        "endpoint": {"dnsOrIP": {"dns": "vpn.example.com"}, "port": 51820},
        "publicKey": str(SERVER.public_key()),
    }
    client = spec(here / "net" / f"{machines[1]}.yaml")
    assert (client["publicKey"], client["persistentKeepalive"]) == (str(ANA), 25)
    assert run("peer", "validate", "-f", "net").code == 0
    (here / "out").mkdir()
    run("showconf", "--all", "-d", "out", "-f", "net")
    assert f"PrivateKey = {SECRET}\n" in (here / "out" / "server.conf").read_text()


@pytest.mark.parametrize(
    ("program", "lines"),
    [
        ("pivpn", ["wg0.conf, line 5: not imported: MTU:",
                   "wg0.conf, line 9: not imported: PresharedKey: a network in a folder has no",
                   "wg0.conf: not imported: bea, which is disabled there"]),
        ("wg-easy", ["wg0.conf, line 10: not imported: PostUp: commands"]),
        ("wireguard-ui", ["wg0.conf, lines 10, 11: not imported: FwMark, Table:",
                          "ana: 192.168.7.0/24 is not in the network of the tunnel: it becomes"]),
        ("algo", ["wg0.conf, line 5: not imported: SaveConfig:"]),
        ("angristan", ["wg0.conf, lines 5, 6: not imported: PostUp, PostDown:"]),
        ("amnezia", ["wg0.conf, lines 5, 6, 7, 8, 9: not imported: Jc, Jmin, Jmax, S1, H1: Amnezia",
                     "wg0.conf, line 13: not imported: Colour: kgctl does not know the key",
                     "wg0.conf, line 10: no name is given there: it becomes peer-1"]),
    ],
)  # fmt: skip
def test_what_is_not_imported_is_said_line_by_line(
    here: Path, program: str, lines: list[str]
) -> None:
    (here / "wg0.conf").write_text(SERVER_FILES[program][0])
    said = run("import", "wg0.conf", "--into", "net", *AT).stderr.splitlines()
    for line in lines:
        assert any(one.startswith(line) for one in said), said


def test_the_private_key_goes_into_keys_unless_it_must_not(here: Path) -> None:
    (here / "wg0.conf").write_text(PIVPN)
    run("import", "wg0.conf", "--into", "net", *AT)
    keys = here / "net" / "keys"
    assert [one.name for one in keys.iterdir()] == ["server.key"]
    assert read_private_key(keys / "server.key") == SERVER
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert stat.S_IMODE((keys / "server.key").stat().st_mode) == 0o600
    assert "/keys/" in (here / "net" / ".gitignore").read_text()
    run("import", "wg0.conf", "--into", "other", "--without-keys", *AT)
    assert not (here / "other" / "keys").exists()


def test_without_its_endpoint_a_server_is_not_imported(here: Path) -> None:
    (here / "wg0.conf").write_text(PIVPN)
    assert fails("import", "wg0.conf", "--into", "net") == (
        "wg0.conf does not say where others reach server, and its peers have to call it: give its "
        "public address or DNS name (--endpoint)\n"
    )
    assert "is not HOST or HOST:PORT" in fails(
        "import", "wg0.conf", "--into", "net", "--endpoint", "a b"
    )
    assert not (here / "net").exists()
    run("import", "wg0.conf", "--into", "net", "--endpoint", "")
    assert "endpoint" not in spec(here / "net" / "server.yaml")
    run("import", "wg0.conf", "--into", "two", *AT, "--endpoint", "ana-phone=192.0.2.9:7")
    assert spec(here / "two" / "ana-phone.yaml")["endpoint"] == {
        "dnsOrIP": {"ip": "192.0.2.9"}, "port": 7
    }  # fmt: skip


def test_a_dry_run_writes_nothing(here: Path) -> None:
    (here / "wg0.conf").write_text(PIVPN)
    before = content(here)
    done = run("import", "wg0.conf", "--into", "net", "--dry-run", *AT)
    assert "peer/ana-phone created (dry run)\n" in done.stdout
    run("init", "old", "--pool", "10.6.0.0/24")
    before = content(here)
    run("import", "wg0.conf", "-f", "old", "--dry-run", *AT)
    assert content(here) == before


def test_machines_join_the_network_of_the_folder_around(here: Path) -> None:
    run("init", "net", "--pool", "10.6.0.0/24")
    (here / "wg0.conf").write_text(ANGRISTAN)
    with contextlib.chdir(here / "net"):
        done = run("import", "../wg0.conf", *AT)
        assert "network/" not in done.stdout
        again = run("import", "../wg0.conf", *AT)
    assert names(here / "net") == {"server", "ana", "bea"}
    assert again.stdout == ""
    assert again.stderr.count("the network has the machine, as") == 3


def test_an_address_that_is_in_use_refuses_all(here: Path) -> None:
    run("init", "net", "--pool", "10.6.0.0/24")
    run("peer", "add", "old", "--allowed-ips", "10.6.0.3/32", "-f", "net")
    (here / "wg0.conf").write_text(ANGRISTAN)
    before = content(here)
    assert "10.6.0.3/32 overlaps 10.6.0.3/32, an allowed IP of peer old" in fails(
        "import", "wg0.conf", "-f", "net", *AT
    )
    assert content(here) == before


def test_a_file_that_cannot_be_written_leaves_nothing(here: Path) -> None:
    (here / "wg0.conf").write_text(ANGRISTAN)
    (here / "net").mkdir()
    (here / "net" / ".gitignore").mkdir()  # where a file has to be, after all others are written
    assert "net/.gitignore" in fails("import", "wg0.conf", "--into", "net", *AT)
    assert [one.name for one in (here / "net").iterdir()] == [".gitignore"]


def test_names_of_files_that_exist_are_not_taken(here: Path) -> None:
    (here / "net").mkdir()
    (here / "net" / "ana.yaml").symlink_to(here / "elsewhere")
    (here / "net" / "bea.yaml").write_text("a: note\n")
    (here / "wg0.conf").write_text(ANGRISTAN.replace("Client ana", "Client network"))
    run("import", "wg0.conf", "--into", "net", *AT)
    assert names(here / "net") >= {"bea-2", "network-2"}
    assert (here / "net" / "bea.yaml").read_text() == "a: note\n"
    assert not (here / "elsewhere").exists()


def test_the_table_of_wg_meshconf(here: Path) -> None:
    (here / "database.csv").write_text(MESHCONF)
    said = run("import", "database.csv", "--into", "net").stderr
    assert names(here / "net") == {"tokyo", "ana", "bea"}
    assert spec(here / "net" / "ana.yaml")["allowedIPs"] == [
        "10.6.0.2/32", "fd06::2/128", "192.168.7.0/24"
    ]  # fmt: skip
    assert spec(here / "net" / "ana.yaml")["endpoint"] == {
        "dnsOrIP": {"ip": "192.0.2.2"}, "port": 51821
    }  # fmt: skip
    assert spec(here / "net" / "bea.yaml")["persistentKeepalive"] == 20
    assert len(list((here / "net" / "keys").iterdir())) == 3
    assert "database.csv, line 2: not imported: PostUp" in said
    assert "database.csv, line 3: not imported: PresharedKeys" in said
    (here / "database.csv").write_text(MESHCONF.replace("10.6.0.3/24", "10.6.0"))
    assert fails("import", "database.csv", "--into", "x") == (
        'database.csv, line 4: "10.6.0" is not a valid Address\n'
    )


def test_files_of_systemd_networkd(here: Path) -> None:
    (here / "office.netdev").write_text(NETDEV)
    (here / "office.network").write_text(NETWORK)
    given = ("office.netdev", "office.network")
    said = run("import", *given, "--into", "net", *AT).stderr
    assert names(here / "net") == {"office", "ana", "peer-1"}
    assert spec(here / "net" / "office.yaml")["allowedIPs"] == ["10.6.0.1/32"]
    assert spec(here / "net" / "ana.yaml")["allowedIPs"] == ["10.6.0.2/32", "192.168.7.0/24"]
    assert spec(here / "net" / "peer-1.yaml")["endpoint"] == {
        "dnsOrIP": {"dns": "bea.example.com"}, "port": 51820
    }  # fmt: skip
    assert "office.netdev, lines 4, 8: not imported: MTUBytes, FirewallMark" in said
    assert "give that one" in fails("import", "office.network", "--into", "other")


def test_a_keyfile_of_network_manager(here: Path) -> None:
    (here / "laptop.nmconnection").write_text(KEYFILE)
    said = run("import", "laptop.nmconnection", "--into", "net").stderr
    assert names(here / "net") == {"laptop", "peer-1"}
    assert spec(here / "net" / "laptop.yaml")["persistentKeepalive"] == 20
    assert spec(here / "net" / "peer-1.yaml")["allowedIPs"] == ["10.6.0.1/32", "192.168.7.0/24"]
    assert "peer-1: no file says its address, so it gets 10.6.0.1/32" in said
    defaults = yaml.safe_load((here / "net" / "network.yaml").read_text())["defaults"]
    assert (defaults["dns"], defaults["searchDomains"]) == (["10.6.0.1"], ["corp.example"])


def test_a_file_without_a_key_needs_the_public_key(here: Path) -> None:
    (here / "wg0.conf").write_text(PIVPN.replace(f"PrivateKey = {SECRET}\n", ""))
    assert "give its public key with --public-key" in fails(
        "import", "wg0.conf", "--into", "n", *AT
    )
    run("import", "wg0.conf", "--into", "net", "--public-key", str(BEA), *AT)
    assert spec(here / "net" / "server.yaml")["publicKey"] == str(BEA)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("wg0.conf",), "give the folder for the network: --into DIR"),
        (("nothing.conf", "--into", "x"), "cannot read nothing.conf: No such file or directory"),
        (("notes.txt", "--into", "x"), "notes.txt is not a WireGuard configuration"),
        (("wg.dump", "--into", "x"), "has no addresses of machines: give the file that sets"),
        (("wg0.conf", "--into", "x", "--endpoint", "=a"), "is not [NAME=]HOST[:PORT]"),
        (("wg0.conf", "--into", "x", "--endpoint", "a", "--endpoint", "b"), "has another one"),
        (("wg0.conf", "--into", "x", "--endpoint", "bo=a"), 'becomes "bo"; they become ana-phone'),
        (("wg0.conf", "--into", "old", "--pool", "10.0.0.0/8"), "--pool is for a new one"),
        (("wg0.conf", "--into", "old/in", "--endpoint", "a"), "is within the network in"),
        (("wg0.conf", "--into", "x", "-f", "old"), "--into and -f name two folders"),
        (("bad.conf", "--into", "x"), "bad.conf, line 3: its value is not a valid PrivateKey"),
    ],
)
def test_what_is_wrong_is_one_line(here: Path, arguments: tuple[str, ...], message: str) -> None:
    run("init", "old")
    (here / "wg0.conf").write_text(PIVPN)
    (here / "notes.txt").write_text("buy milk")
    (here / "bad.conf").write_text("[Interface]\n\nPrivateKey = hunter2\n")
    (here / "wg.dump").write_text(f"wg0\t{SECRET}\t{SERVER.public_key()}\t51820\toff\n")
    assert message in fails("import", *arguments)
    assert not (here / "x").exists()
