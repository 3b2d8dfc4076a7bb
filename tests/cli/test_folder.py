"""A network in a folder, on the command line: found, changed, shown."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from kgctl.cli.commands.quick import recorded
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.line import Shared
from kgctl.cli.core.surroundings import VARIABLE, surrounded
from kgctl.cli.core.table import COMMANDS
from kgctl.mesh.cidr import parse_cidr
from kgctl.wireguard.keys import PrivateKey, read_private_key
from tests.support.commands import fails, run
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from collections.abc import Iterator

POOLS = ("--pool", "10.73.5.0/24,fd73::/64")
THERE_IS_NONE = re.compile(r"(?i)\bkilo\b|\bnodes?\b|\bsegments?\b|\bcluster\b")


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[Path]:
    with contextlib.chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def net(here: Path) -> Path:
    """A network: the machine "hub" that can be called, and "laptop" and "phone" that cannot."""
    run("init", "net", *POOLS)
    folder = here / "net"
    run(
        "peer",
        "add",
        "hub",
        "--endpoint",
        "192.0.2.1:51820",
        "--lan",
        "192.168.7.0/24",
        "-f",
        "net",
    )
    run("peer", "add", "laptop", "-f", "net")
    key = PrivateKey.generate().public_key()
    run("peer", "add", "phone", "--public-key", str(key), "-f", "net")
    return folder


def spec(path: Path) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(path.read_text())["spec"]
    return found


# --- init ---


def test_a_new_network_has_pools_that_hardly_anybody_has(here: Path) -> None:
    run("init", "My Office")
    text = (here / "My Office" / "network.yaml").read_text()
    found = yaml.safe_load(text)
    assert found["name"] == "my-office"
    four, six = map(parse_cidr, found["pools"])
    assert four is not None
    assert six is not None
    assert (four.prefix, six.prefix) == (24, 64)
    assert str(four).startswith("10.")
    assert str(six).startswith("fd")
    assert "# yaml-language-server: $schema=" in text


def test_a_network_is_made_once_and_not_within_another(net: Path) -> None:
    before = (net / "network.yaml").read_text()
    assert "net/network.yaml exists, and is not overwritten" in fails("init", "net")
    assert "is within the network in" in fails("init", "net/people")
    assert (net / "network.yaml").read_text() == before
    assert not (net / "people").exists()


def test_a_gitignore_gets_what_it_lacks(here: Path) -> None:
    (here / ".gitignore").write_text("*.tmp\n/keys/")
    run("init")
    lines = (here / ".gitignore").read_text().splitlines()
    assert lines[:2] == ["*.tmp", "/keys/"]
    assert lines.count("/keys/") == 1
    assert {"*.key", "*.conf", "*.nmconnection"} <= {*lines}


def test_peers_in_plain_files_become_a_network(here: Path) -> None:
    (here / "a").mkdir()
    run("init", "net", *POOLS)
    run("peer", "add", "laptop", "-f", "net")
    (here / "net" / "laptop.yaml").rename(here / "a" / "laptop.yaml")
    assert "kgctl init a" in fails("peer", "add", "phone", "-f", "a")
    run("init", "a")
    assert yaml.safe_load((here / "a" / "network.yaml").read_text())["pools"] == [
        "10.73.5.0/24", "fd73::/64"
    ]  # fmt: skip
    run("peer", "add", "phone", "-f", "a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pool", "x"), '--pool "x" is not a CIDR'),
        (("--pool", "10.0.0.0/8,10.1.0.0/16"), "--pool: 10.1.0.0/16 overlaps the pool 10.0.0.0/8"),
        (("--name", "A b"), '--name "A b" is not a name of lower-case letters'),
        (("--dns", "x"), '--dns "x" is not an IP address'),
        (("--persistent-keepalive", "0"), "--persistent-keepalive must be 1 to 65535, not 0"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(
    here: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert message in fails("init", "net", *arguments)
    assert not (here / "net").exists()


# --- which network ---


def test_options_go_first_then_the_variable_then_the_folder_around(net: Path, here: Path) -> None:
    run("init", "other", *POOLS)
    (net / "people").mkdir()
    with contextlib.chdir(net / "people"):
        around = surrounded("get", Shared(), {})
        named = surrounded("get", Shared(), {VARIABLE: str(here / "other")})
        for option in (Shared(context="x", contexts=["x"]), Shared(example=True)):
            assert surrounded("get", option, {VARIABLE: str(here / "other")}) == option
        assert surrounded("node", Shared(), {}) == Shared()
        assert "laptop" in run("get", "peers")
    assert (around.filename, around.around) == ([".."], True)
    assert (named.filename, named.around) == ([str(here / "other")], True)
    with contextlib.chdir(here):
        assert surrounded("get", Shared(), {}) == Shared()
        with pytest.raises(UsageError, match="KGCTL_NETWORK names nowhere, which has no network"):
            surrounded("get", Shared(), {VARIABLE: "nowhere"})


def test_commands_about_nodes_mean_a_cluster() -> None:
    assert not any(COMMANDS[name].folder for name in ("agent", "connect", "link", "node", "status"))


def test_a_network_stands_alone(net: Path) -> None:
    assert "is a network, which its folder holds alone" in fails(
        "get", "peers", "-f", str(net), "-f", str(net / "laptop.yaml")
    )


def test_the_first_error_of_a_newcomer_names_what_to_do(here: Path) -> None:
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["kgctl", "get", "nodes"],
        env={"PATH": programs, "HOME": str(here)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in ("--example", "kgctl init", "--kubeconfig"))


# --- changes ---


def test_machines_get_an_address_from_each_pool_and_a_key(net: Path) -> None:
    assert spec(net / "hub.yaml")["allowedIPs"] == ["10.73.5.1/32", "fd73::1/128", "192.168.7.0/24"]
    assert spec(net / "laptop.yaml")["allowedIPs"] == ["10.73.5.2/32", "fd73::2/128"]
    assert spec(net / "laptop.yaml")["persistentKeepalive"] == 25
    assert "persistentKeepalive" not in spec(net / "hub.yaml")
    keys = net / "keys"
    assert keys.stat().st_mode & 0o777 == 0o700
    assert {one.name: one.stat().st_mode & 0o777 for one in keys.iterdir()} == {
        "hub.key": 0o600, "laptop.key": 0o600
    }  # fmt: skip
    key = read_private_key(keys / "laptop.key").public_key()
    assert spec(net / "laptop.yaml")["publicKey"] == str(key)


def test_networks_behind_a_machine_are_changed_beside_its_addresses(net: Path) -> None:
    run("peer", "set", "laptop", "--lan", "192.168.8.0/24", "-f", "net")
    assert spec(net / "laptop.yaml")["allowedIPs"] == [
        "10.73.5.2/32", "fd73::2/128", "192.168.8.0/24"
    ]  # fmt: skip
    assert "overlaps 192.168.7.0/24, an allowed IP of peer hub" in fails(
        "peer", "set", "laptop", "--lan", "192.168.7.128/25", "-f", "net"
    )
    assert "is one address" in fails(
        "peer", "set", "laptop", "--lan", "192.168.9.1/32", "-f", "net"
    )
    run("peer", "set", "laptop", "--lan", "", "-f", "net")
    assert spec(net / "laptop.yaml")["allowedIPs"] == ["10.73.5.2/32", "fd73::2/128"]


def test_a_machine_is_renamed_with_its_keys(net: Path) -> None:
    text = (net / "laptop.yaml").read_text()
    assert run("peer", "rename", "laptop", "alice", "-f", "net") == (
        "peer/laptop renamed to alice\n"
    )
    assert (net / "alice.yaml").read_text() == text.replace("laptop", "alice")
    assert sorted(one.name for one in (net / "keys").iterdir()) == ["alice.key", "hub.key"]
    assert "already exists" in fails("peer", "rename", "alice", "hub", "-f", "net")
    assert 'there is no peer named "bob"' in fails("peer", "rename", "bob", "x", "-f", "net")


def test_a_rotated_key_is_the_one_in_the_file(net: Path) -> None:
    run("peer", "rotate", "laptop", "-f", "net")
    key = read_private_key(net / "keys" / "laptop-2.key")
    assert spec(net / "laptop.yaml")["publicKey"] == str(key.public_key())
    assert f"PrivateKey = {key.reveal()}\n" in run(
        "showconf", "peer", "laptop", "-o", "wg-quick", "-f", "net"
    )


def test_a_removed_machine_leaves_its_key(net: Path) -> None:
    done = kgctl("peer", "rm", "laptop", "-f", "net")
    assert done.stdout == 'peer "laptop" deleted\n'
    assert "its private key stays in net/keys/laptop.key" in done.stderr
    assert not (net / "laptop.yaml").exists()
    run("peer", "add", "laptop", "-f", "net")  # and no key is overwritten
    assert (net / "keys" / "laptop-2.key").exists()


@pytest.mark.parametrize("dry_run", ["client", "server"])
def test_a_dry_run_writes_nothing(net: Path, dry_run: str) -> None:
    before = {path: path.read_bytes() for path in net.rglob("*") if path.is_file()}
    run("peer", "add", "new", f"--dry-run={dry_run}", "-o", "yaml", "-f", "net")
    run("peer", "set", "hub", "--endpoint", "192.0.2.9:1", f"--dry-run={dry_run}", "-f", "net")
    run("peer", "rename", "hub", "new", f"--dry-run={dry_run}", "-f", "net")
    run("peer", "rm", "hub", f"--dry-run={dry_run}", "-f", "net")
    assert {path: path.read_bytes() for path in net.rglob("*") if path.is_file()} == before


def test_what_needs_nodes_is_refused(net: Path) -> None:
    assert "and this network has none" in fails("peer", "add", "x", "--preshared-key", "-f", "net")
    assert "--set is for annotations of nodes" in fails("diff", "--set", "node/a:b=c", "-f", "net")


def test_processes_at_the_same_time_never_take_one_address(net: Path) -> None:
    command = [sys.executable, "-m", "kgctl", "peer", "add", "-f", str(net)]
    running = [
        subprocess.Popen([*command, f"m{number}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in range(4)
    ]
    for one in running:
        _, stderr = one.communicate(timeout=120)
        assert one.returncode == 0, stderr
    taken = [
        address
        for path in net.glob("*.yaml")
        if path.name != "network.yaml"
        for address in spec(path)["allowedIPs"]  # type: ignore[attr-defined]
    ]
    assert len(taken) == len(set(taken)) == 7 * 2 + 1


# --- files ---


def test_each_file_lists_whom_it_has_a_tunnel_to_and_has_the_defaults(
    net: Path, here: Path
) -> None:
    text = (net / "network.yaml").read_text()
    text = text.replace("  # dns: [10.0.0.53]", "  dns: [10.73.5.1]")
    (net / "network.yaml").write_text(text.replace("  # searchDomains", "  searchDomains"))
    (here / "out").mkdir()
    done = kgctl("showconf", "--all", "-d", "out", "-f", "net")
    assert done.code == 0
    assert "phone: its private key is not in net/keys" in done.stderr
    laptop = (here / "out" / "laptop.conf").read_text()
    key = (net / "keys" / "laptop.key").read_text()
    for line in (
        "Address = 10.73.5.2/32, fd73::2/128", f"PrivateKey = {key.strip()}",
        "DNS = 10.73.5.1, home.arpa", "Endpoint = 192.0.2.1:51820", "PersistentKeepalive = 25",
        "AllowedIPs = 10.73.5.1/32, fd73::1/128, 192.168.7.0/24",
    ):  # fmt: skip
        assert f"{line}\n" in laptop
    assert laptop.count("[Peer]") == 1  # neither the laptop nor the phone can call the other
    assert (here / "out" / "hub.conf").read_text().count("[Peer]") == 2
    assert "PrivateKey" not in (here / "out" / "phone.conf").read_text().replace(
        "PrivateKey = ...", ""
    )
    assert "PostUp" not in laptop
    assert "DNS = 192.0.2.53\n" in run(
        "showconf", "peer", "laptop", "-o", "wg-quick", "--dns", "192.0.2.53", "-f", "net"
    )


def test_a_machine_with_a_network_behind_it_forwards(net: Path) -> None:
    run("peer", "set", "laptop", "--lan", "192.168.8.0/24", "-f", "net")
    text = run("showconf", "peer", "hub", "-o", "wg-quick", "-f", "net")
    hooks = [line for line in text.splitlines() if line.startswith("Post")]
    assert hooks == [
        "PostUp = sysctl -qw net.ipv4.ip_forward=1",
        "PostUp = iptables -w -I FORWARD -i %i -d 192.168.7.0/24 -j ACCEPT",
        "PostUp = iptables -w -I FORWARD -o %i -s 192.168.7.0/24 -j ACCEPT",
        "PostUp = iptables -w -t nat -I POSTROUTING -s 10.73.5.0/24,192.168.8.0/24 "
        "-d 192.168.7.0/24 -j MASQUERADE",
        "PostDown = iptables -w -D FORWARD -i %i -d 192.168.7.0/24 -j ACCEPT",
        "PostDown = iptables -w -D FORWARD -o %i -s 192.168.7.0/24 -j ACCEPT",
        "PostDown = iptables -w -t nat -D POSTROUTING -s 10.73.5.0/24,192.168.8.0/24 "
        "-d 192.168.7.0/24 -j MASQUERADE",
    ]
    networkd = run("showconf", "peer", "hub", "-o", "networkd", "-f", "net")
    assert "IPMasquerade=ipv4\n" in networkd
    assert "Name=net\n" in networkd


# --- relays ---


def test_a_relay_is_marked_and_unmarked(net: Path) -> None:
    assert kgctl("path", "laptop", "phone", "-f", "net").code == 1
    assert "kgctl peer set hub --relay" in kgctl("check", "-f", "net").stdout
    run("peer", "set", "hub", "--relay", "-f", "net")
    assert "peer hub -> peer phone" in run("path", "laptop", "phone", "-f", "net")
    assert "KG412" not in kgctl("check", "-f", "net").stdout
    assert "IPForward=yes\nIPv4Forwarding=yes\nIPv6Forwarding=yes\n" in run(
        "showconf", "peer", "hub", "-o", "networkd", "-f", "net"
    )
    plain = run("showconf", "peer", "laptop", "-f", "net")
    assert (
        "AllowedIPs = 10.73.5.1/32, fd73::1/128, 192.168.7.0/24, 10.73.5.0/24, fd73::/64\n" in plain
    )
    assert plain.count("[Peer]") == 1
    lost = kgctl("diff", "--without", "peer/hub", "-f", "net").stdout
    assert "- no relay left, so these do not reach each other: laptop, phone\n" in lost
    run("peer", "set", "hub", "--no-relay", "-f", "net")
    assert kgctl("path", "laptop", "phone", "-f", "net").code == 1


def test_all_that_can_be_called_relay(net: Path) -> None:
    text = (net / "network.yaml").read_text()
    (net / "network.yaml").write_text(text.replace("relays: marked", "relays: auto"))
    assert run("path", "laptop", "phone", "-f", "net")
    assert "-i %i -o %i" in run("showconf", "peer", "hub", "-o", "wg-quick", "-f", "net")
    (net / "network.yaml").write_text(text.replace("relays: marked", "relays: all"))
    done = kgctl("get", "peers", "-f", "net")
    assert done.code != 0
    assert "network.yaml:" in done.stderr


def test_a_relay_that_nobody_can_call_is_reported(net: Path) -> None:
    run("peer", "set", "laptop", "--relay", "-f", "net")
    assert "KG414" in kgctl("check", "-f", "net").stdout
    assert kgctl("path", "laptop", "phone", "-f", "net").code == 1


def test_the_option_for_a_relay_is_for_clusters(net: Path) -> None:
    done = kgctl("showconf", "peer", "laptop", "-o", "wg-quick", "--relay", "auto", "-f", "net")
    assert done.code != 0
    assert "relays of its own" in done.stderr
    assert not done.stdout


def test_a_relay_of_a_cluster_is_recorded_in_the_file() -> None:
    made = ("showconf", "peer", "laptop", "-o", "wg-quick", "--relay", "aws-1")
    text = run("--example", *made, "--relay-pool", "10.5.0.0/24")
    assert "# made with: --relay aws-1 --relay-pool 10.5.0.0/24\n" in text
    options = recorded("--relay aws-1 --relay-pool 10.5.0.0/24").settings()
    assert (options.relay, options.relay_pools) == ("aws-1", (parse_cidr("10.5.0.0/24"),))
    done = kgctl("--example", *made, "--relay-pool", "10.5.0.0/24", "--relay", "aws-9")
    assert 'did you mean "aws-' in done.stderr


# --- words ---


@pytest.mark.parametrize("kind", ["nodes", "segments"])
def test_a_network_has_machines_alone(net: Path, kind: str) -> None:
    done = kgctl("get", kind, "-f", "net")
    said = f"the network net has machines and no {kind}; list them with: kgctl get peers\n"
    assert (done.code, done.stdout, done.stderr) == (0, "", said)
    assert fails("get", kind, "hub", "-f", "net") == said
    assert yaml.safe_load(run("get", kind, "-o", "json", "-f", "net")) == {"items": []}


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "peers"),
        ("get", "peers", "nobody"),
        ("path", "laptop", "192.0.2.99"),
        *(("graph", "-o", one) for one in ("dot", "tree", "mermaid")),
        ("graph", "--style", "rich"),
        ("graph", "--focus", "laptop"),
        ("check",),
        ("path", "laptop", "hub"),
        ("path", "laptop", "phone"),
        ("path", "laptop", "nobody"),
        ("diff", "--without", "peer/laptop"),
        ("showconf", "peer", "laptop", "-o", "wg-quick"),
        ("showconf", "peer", "nobody"),
        ("peer", "validate"),
        ("peer", "set", "laptop", "--persistent-keepalive", "0"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_not_named(net: Path, arguments: tuple[str, ...]) -> None:
    with contextlib.chdir(net):
        done = kgctl(*arguments)
    text = re.sub(r"\tnode \[|subgraph \S+|digraph|sub.?graph|cluster_\w+", "", done.stdout)
    assert not THERE_IS_NONE.findall(text + done.stderr), text + done.stderr
    assert done.stdout + done.stderr


def test_machines_of_which_one_can_call_are_linked(net: Path) -> None:
    text = run("graph", "-o", "json", "-f", "net")
    links = yaml.safe_load(text)["links"]
    assert [(one["source"]["name"], one["target"]["name"]) for one in links] == [
        ("hub", "laptop"), ("hub", "phone")
    ]  # fmt: skip


@pytest.mark.needs("git")
def test_a_revision_of_the_folder_is_compared(net: Path) -> None:
    def git(*arguments: str) -> None:
        names = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *names, *arguments], cwd=net, check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "start")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=net, check=True, capture_output=True, text=True
    ).stdout
    assert "keys" not in listed
    with contextlib.chdir(net):
        run("peer", "add", "tablet")
        done = kgctl("diff", "--base", "HEAD")
    assert done.code == 1
    assert "+ peer tablet: allowed IPs 10.73.5.4/32, fd73::4/128" in done.stdout
