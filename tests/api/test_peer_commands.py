"""``kgctl peer`` on a real API server, with the right to change peers and no other."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.wireguard.keys import read_private_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.apiserver.server import ApiServer

    Run = Callable[..., subprocess.CompletedProcess[str]]

ROLE = Path(__file__).parents[2] / "docs" / "rbac-peers.yaml"
KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="


@pytest.fixture
def run(api_server: ApiServer, tmp_path: Path) -> Iterator[Run]:
    """Run kgctl in a directory of its own, as a peer admin."""
    role = yaml.safe_load(ROLE.read_text())
    kubeconfig = api_server.user("peer-admin-of-docs", role["rules"])
    api_server.clear()
    api_server.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": "n1",
                    "annotations": {"kilo.squat.ai/internal-ip": "10.5.0.2/24"},
                },
                "spec": {"podCIDR": "10.42.0.0/24"},
            }
        ]
    )

    def kgctl(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kgctl", "--kubeconfig", str(kubeconfig), *arguments],
            input=given, capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip

    yield kgctl
    api_server.clear()


def _spec(run: Run, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("get", "peer", name, "-o", "json").stdout)
    return found


def test_a_peer_gets_a_key_pair_an_address_and_a_keepalive(run: Run, tmp_path: Path) -> None:
    added = run("peer", "add", "laptop")
    assert (added.returncode, added.stdout) == (0, "peer.kilo.squat.ai/laptop created\n")
    key = tmp_path / "laptop.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    peer = _spec(run, "laptop")
    assert peer["publicKey"] == str(read_private_key(key).public_key())
    assert peer["allowedIPs"] == ["10.5.0.1/32"]
    assert peer["persistentKeepalive"] == 25
    second = run("peer", "add", "phone", "--endpoint", "phone.example:5")
    assert "next: kgctl showconf peer phone -o wg-quick" in second.stderr
    assert _spec(run, "phone")["allowedIPs"] == ["10.5.0.3/32"]  # a node has 10.5.0.2
    assert _spec(run, "phone")["persistentKeepalive"] == 0


def test_nothing_is_overwritten_and_nothing_is_left_behind(run: Run, tmp_path: Path) -> None:
    assert run("peer", "add", "laptop").returncode == 0
    content = (tmp_path / "laptop.key").read_text()
    again = run("peer", "add", "laptop")
    assert again.returncode == 1
    assert "never overwritten" in again.stderr
    elsewhere = run("peer", "add", "laptop", "--private-key-file", "new.key")
    assert elsewhere.returncode == 1
    assert 'the peer "laptop" already exists; change it with' in elsewhere.stderr
    assert not (tmp_path / "new.key").exists()
    assert (tmp_path / "laptop.key").read_text() == content


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["Laptop"], "is not a valid object name"),
        (
            ["x", "--allowed-ips", "10.42.0.7/32"],
            "overlaps 10.42.0.0/24, the pod subnet of node n1",
        ),
        (["x", "--allowed-ips", "10.4.0.0/14"], "10.4.0.0/14 overlaps"),
        (
            ["x", "--allowed-ips", "10.43.0.1/32", "--service-cidr", "10.43.0.0/16"],
            "service network",
        ),
        (["x", "--public-key", "no"], "--public-key is not a WireGuard key"),
        (["x", "--pool", "10.5.0.2/32"], "no address of the pool 10.5.0.2/32 is free"),
        (["x", "--endpoint", "here"], "--endpoint"),
        (["x", "--pool", "10.5.0.0"], '--pool "10.5.0.0" is not a CIDR'),
        (["x", "--pool", "10.6.0.0/24", "--allowed-ips", "10.6.0.1/32"], "give one of them"),
        (["x", "--allowed-ips", ","], "--allowed-ips is empty"),
        (
            ["x", "--persistent-keepalive", "65536"],
            "--persistent-keepalive must be 0 to 65535, not 65536",
        ),
        (["x", "--preshared-key-file", "no.psk"], "cannot read the preshared key no.psk"),
        (["x", "--private-key-file", "no/x.key"], "cannot write the key no/x.key"),
    ],
)
def test_what_cannot_be_added_is_refused_and_leaves_no_file(
    run: Run, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    refused = run("peer", "add", *arguments)
    assert refused.returncode == 1
    assert complaint in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert list(tmp_path.glob("*.key")) == []


def test_dry_runs_change_nothing(run: Run) -> None:
    for kind in ("client", "server"):
        shown = run(
            "peer", "add", "x", "--public-key", KEY, f"--dry-run={kind}", "-o", "yaml"
        )  # fmt: skip
        assert yaml.safe_load(shown.stdout)["spec"]["allowedIPs"] == ["10.5.0.1/32"]
    assert run("get", "peers", "-o", "name").stdout == ""
    run("peer", "add", "x", "--public-key", KEY)
    for kind in ("client", "server"):
        assert "dry run" in run("peer", "rm", "x", f"--dry-run={kind}").stdout
        changed = run("peer", "set", "x", "--persistent-keepalive", "7", f"--dry-run={kind}")
        assert "dry run" in changed.stdout
    assert _spec(run, "x")["persistentKeepalive"] == 25


def test_only_what_is_given_is_changed(run: Run) -> None:
    run("peer", "add", "x", "--public-key", KEY, "--endpoint", "1.2.3.4:5")
    changed = run(
        "peer", "set", "x", "--persistent-keepalive", "9", "--generate-preshared-key"
    )  # fmt: skip
    assert changed.stdout == "peer.kilo.squat.ai/x configured\n"
    peer = _spec(run, "x")
    assert (peer["persistentKeepalive"], peer["endpoint"]) == (9, "1.2.3.4:5")
    assert peer["hasPresharedKey"]
    assert peer["publicKey"] == KEY
    run("peer", "set", "x", "--endpoint", "", "--remove-preshared-key")
    assert _spec(run, "x")["endpoint"] is None
    assert not _spec(run, "x")["hasPresharedKey"]
    assert "overlaps" in run("peer", "set", "x", "--allowed-ips", "10.42.0.9/32").stderr
    assert "nothing to change" in run("peer", "set", "x").stderr


def test_new_keys_keep_the_addresses(run: Run, tmp_path: Path) -> None:
    run("peer", "add", "x", "--generate-preshared-key")
    before = _spec(run, "x")
    rotated = run("peer", "rotate", "x", "--private-key-file", "x2.key")
    assert rotated.stdout == "peer.kilo.squat.ai/x rotated\n"
    after = _spec(run, "x")
    assert after["publicKey"] == str(read_private_key(tmp_path / "x2.key").public_key())
    assert after["publicKey"] != before["publicKey"]
    assert after["allowedIPs"] == before["allowedIPs"]
    assert run("peer", "rotate", "nobody").returncode == 1
    assert not (tmp_path / "nobody.key").exists()


def test_peers_are_removed_and_a_missing_one_is_an_error(run: Run) -> None:
    run("peer", "add", "x", "--public-key", KEY)
    removed = run("peer", "rm", "y", "x")
    assert removed.returncode == 1
    assert removed.stdout == 'peer.kilo.squat.ai "x" deleted\n'
    assert 'there is no peer named "y"' in removed.stderr
    assert run("peer", "rm", "y", "--ignore-not-found").returncode == 0


def test_a_configuration_becomes_a_peer_without_its_secret(run: Run, tmp_path: Path) -> None:
    private = run("genkey").stdout
    public = run("pubkey", given=private).stdout.strip()
    (tmp_path / "wg0.conf").write_text(
        f"[Interface]\nAddress = 10.5.0.77/32\nPrivateKey = {private}\n"
        f"[Peer]\nPublicKey = {KEY}\nPersistentKeepalive = 15\n"
    )
    imported = run("peer", "import", "wg0.conf", "old-server")
    assert imported.stdout == "peer.kilo.squat.ai/old-server created\n"
    peer = _spec(run, "old-server")
    assert peer["publicKey"] == public
    assert peer["allowedIPs"] == ["10.5.0.77/32"]
    assert peer["persistentKeepalive"] == 15
    assert private.strip() not in run("peer", "validate", "--debug").stderr


def test_twenty_at_once_get_twenty_addresses(run: Run) -> None:
    names = [f"p{number:02}" for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        added = list(pool.map(lambda name: run("peer", "add", name), names))
    assert [one.stderr for one in added if one.returncode] == []
    peers = json.loads(run("get", "peers", "-o", "json").stdout)["items"]
    addresses = [address for peer in peers for address in peer["allowedIPs"]]
    assert len(addresses) == len(set(addresses)) == 20
    assert "10.5.0.2/32" not in addresses
    assert all(
        one.stderr.startswith(f"{name} has 10.5.0.") for name, one in zip(names, added, strict=True)
    )


def test_of_several_that_want_one_address_at_most_one_keeps_it(run: Run, tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(5)]
    with ThreadPoolExecutor(5) as pool:
        wanted = ("--allowed-ips", "10.6.0.1/32")
        added = list(pool.map(lambda name: run("peer", "add", name, *wanted), names))
    peers = json.loads(run("get", "peers", "-o", "json").stdout)["items"]
    assert len(peers) == sum(one.returncode == 0 for one in added) <= 1
    assert {f"{peer['name']}.key" for peer in peers} == {p.name for p in tmp_path.glob("*.key")}
    assert all("10.6.0.1/32 overlaps" in one.stderr for one in added if one.returncode)


def test_a_small_pool_is_used_up_by_as_many_as_it_has_addresses(run: Run) -> None:
    with ThreadPoolExecutor(8) as pool:
        wanted = ("--pool", "10.7.0.0/29")  # six of them
        added = list(pool.map(lambda n: run("peer", "add", f"p{n}", *wanted), range(8)))
    peers = json.loads(run("get", "peers", "-o", "json").stdout)["items"]
    addresses = [address for peer in peers for address in peer["allowedIPs"]]
    assert len(addresses) == len(set(addresses)) == sum(one.returncode == 0 for one in added)
    assert {one.stdout for one in added if one.returncode} == {""}
    assert 1 <= len(addresses) <= 6


def test_manifests_are_validated_offline(run: Run, tmp_path: Path) -> None:
    good = {"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer", "metadata": {"name": "good"},
            "spec": {"allowedIPs": ["10.5.0.1/32"], "publicKey": KEY}}  # fmt: skip
    twin = {**good, "metadata": {"name": "twin"}}
    bad = {**good, "metadata": {"name": "bad"}, "spec": {**good["spec"], "publicKey": "x"}}  # type: ignore[dict-item]
    path = tmp_path / "peers.yaml"
    path.write_text(yaml.safe_dump_all([good, twin]))
    fine = run("peer", "validate", "-f", str(path))
    assert (fine.returncode, fine.stdout) == (0, "2 peers valid\n")
    assert fine.stderr == (
        "peer.kilo.squat.ai/twin, warning: does not get allowed IP 10.5.0.1/32: peer good has it\n"
        "peer.kilo.squat.ai/twin, warning: has the public key of peer good\n"
    )
    path.write_text(yaml.safe_dump_all([good, bad]))
    broken = run("peer", "validate", "-f", str(path))
    assert (broken.returncode, broken.stdout) == (1, "")
    assert 'peer.kilo.squat.ai/bad is invalid: publicKey "x" is not base64' in broken.stderr
    assert "files and the example cannot be changed" in run("peer", "rm", "x", "--example").stderr


def test_who_has_expired_is_left_out_and_pruned(run: Run) -> None:
    for name, end in (("guest", "2020-01-01"), ("laptop", "2999-01-01")):
        assert run("peer", "add", name).returncode == 0
        done = run("peer", "set", name, "--expires", end)
        assert done.returncode == 0, done.stderr
        assert "Kilo's own agents do not know this annotation" in done.stderr
    found = json.loads(run("get", "peers", "-o", "json").stdout)["items"]
    assert {one["name"]: (one["ready"], one["expires"]) for one in found} == {
        "guest": (False, "2020-01-01T00:00:00Z"),
        "laptop": (True, "2999-01-01T00:00:00Z"),
    }
    rehearsed = run("peer", "prune", "--dry-run")
    assert rehearsed.stdout == 'peer.kilo.squat.ai "guest" deleted (dry run)\n'
    done = run("peer", "prune")
    assert (done.returncode, done.stdout) == (0, 'peer.kilo.squat.ai "guest" deleted\n')
    assert done.stderr == "guest expired 2020-01-01T00:00:00Z\n"
    assert run("get", "peers", "-o", "name").stdout == "peer.kilo.squat.ai/laptop\n"
    assert run("peer", "prune").stderr == "no peer has expired\n"


def test_a_machine_joins_by_its_line(run: Run, tmp_path: Path) -> None:
    line = run("join-request", "laptop", "--lan", "192.168.9.0/24").stdout
    refused = run("peer", "add", "--request", "-", given=line)
    assert refused.returncode == 1
    assert "--accept-lan" in refused.stderr
    added = run("peer", "add", "--request", "-", "--accept-lan", given=line)
    assert (added.returncode, added.stdout) == (0, "peer.kilo.squat.ai/laptop created\n")
    peer = _spec(run, "laptop")
    assert peer["publicKey"] == str(read_private_key(tmp_path / "laptop.key").public_key())
    assert peer["allowedIPs"] == ["10.5.0.1/32", "192.168.9.0/24"]
