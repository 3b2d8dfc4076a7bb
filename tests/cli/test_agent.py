"""The options of ``kgctl agent``, and its dry run."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from pathlib import Path

linux = pytest.mark.skipif(sys.platform != "linux", reason="the agent is for Linux")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mtu", "100"], "--mtu must be 576 to 65535, not 100"),
        (["--mtu", "big"], '--mtu "big" is not a number of bytes'),
        (["--resync-period=0s"], "not a duration above 0"),
        (["--subnet", "10.4.0.0"], '--subnet "10.4.0.0" is not a CIDR'),
        (["--service-cidr", "10.43.0.0/16,x"], '--service-cidr "x" is not a CIDR'),
        (["--internal-cidr", "x"], '--internal-cidr "x" is not a CIDR'),
        (["--interface", "../etc"], "is not a valid interface name"),
        (["--compatibility", "calico"], '--compatibility "calico" is unknown'),
        (["--encapsulate", "sometimes"], "sometimes"),
        (["--mesh-granularity", "node"], '--mesh-granularity "node" is unknown'),
        (["--port", "0"], "--port must be 1 to 65535, not 0"),
        (["--listen", "1107"], '--listen "1107" is not an address and port'),
        (["--log-level", "loud"], "loud"),
        (["--local=maybe"], "--local"),
        (["--backend", "etcd"], '--backend "etcd" is unknown'),
        (["--firewall", "ufw"], "ufw"),
        (["--accept", "x"], '--accept "x" does not have the form NAME=CIDR'),
        (["--hostname", "Upper_Case"], "cannot be the name of a node"),
        (["--kubeconfig", "/nonexistent", "--dry-run"], "/nonexistent"),
        (["--master", "ftp://x", "--dry-run"], "must start with https:// or http://"),
        (["-o", "json"], "--output is the format of --dry-run; give both"),
        (["--example"], "the agent needs a live cluster"),
        (["--example", "--dry-run", "--request-timeout", "x"], "did not find any node"),
    ],
)
def test_a_wrong_option_is_one_line(options: list[str], message: str) -> None:
    name = [] if "--hostname" in options else ["--hostname", "laptop"]
    code, out, errors = kgctl("agent", *name, *options)
    assert code == 1
    assert out == ""
    assert message in errors
    assert len(errors.splitlines()) == 1


FLAGS = (
    "--backend", "--clean-up", "--clean-up-interface", "--cni", "--cni-path", "--compatibility",
    "--create-interface", "--encapsulate", "--hostname", "--interface", "--internal-cidr",
    "--iptables-forward-rules", "--kubeconfig", "--listen", "--local", "--log-level", "--master",
    "--mesh-granularity", "--mtu", "--port", "--prioritise-private-addresses", "--resync-period",
    "--service-cidr", "--subnet", "--topology-label",
)  # fmt: skip


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_of_the_reference_is_there(flag: str) -> None:
    code, out, _ = kgctl("agent", "--help")
    assert code == 0
    assert f"  {flag} " in out


def test_the_flags_of_the_references_manifests_are_read() -> None:
    code, out, _ = kgctl(
        "agent", "--example", "--dry-run", "--hostname=aws-2", "--cni=false",
        "--compatibility=cilium", "--local=false", "--internal-cidr=10.0.2.12/32",
        "--encapsulate=crosssubnet", "--clean-up-interface=true", "--subnet=172.31.254.0/24",
        "--log-level=all", "--create-interface=false", "--interface=kilo0",
    )  # fmt: skip
    assert code == 0
    assert "ip link add" not in out
    assert "172.31.254.1/32" in out


def dry_run(*options: str) -> str:
    code, out, errors = kgctl("agent", "--example", "--dry-run", *options)
    assert (code, errors) == (0, "")
    return out


def test_the_commands_of_a_leader_set_its_device_without_secrets() -> None:
    out = dry_run("--hostname", "aws-1", "--mtu", "1400")
    lines = out.splitlines()
    assert lines[:4] == [
        "ip link add kilo0 type wireguard",
        "ip link set kilo0 mtu 1400",
        "ip address replace 10.4.0.1/16 dev kilo0",
        "wg set kilo0 private-key /var/lib/kilo/key listen-port 51820",
    ]
    office = next(line for line in lines if "office" in line)
    assert "preshared-key <(kubectl get peer office -o jsonpath='{.spec.presharedKey}')" in office
    found = json.loads(dry_run("--hostname", "aws-1", "-o", "json"))
    (secret,) = (one for one in found["conf"].splitlines() if one.startswith("PresharedKey"))
    assert secret.removeprefix("PresharedKey = ") not in out
    assert "PrivateKey" not in found["conf"]


def test_the_commands_of_a_follower_take_its_device_down() -> None:
    lines = dry_run("--hostname", "aws-2", "--encapsulate", "never").splitlines()
    assert lines[:2] == ["ip link add kilo0 type wireguard", "ip link set kilo0 down"]
    variable = "private=$(ip -o address show to 10.0.2.12 | awk '{ print $2; exit }')"
    assert variable in lines
    route = 'ip route replace 10.42.0.0/24 via 10.0.1.11 dev "$private" onlink proto static'
    assert lines.index(route) > lines.index(variable)
    assert not any(line.startswith("wg ") for line in lines)


def test_the_granularity_is_that_of_the_flag_and_not_the_annotation() -> None:
    located = json.loads(dry_run("--hostname", "aws-2", "-o", "json"))
    full = json.loads(dry_run("--hostname", "aws-2", "-o", "json", "--mesh-granularity=full"))
    assert (located["leader"], full["leader"]) == (False, True)


def test_names_and_files_are_quoted() -> None:
    out = dry_run("--hostname", "aws-1", "--key-file", "/a b;c", "--interface", "wg$(id)")
    assert "wg set 'wg$(id)' private-key '/a b;c' listen-port" in out
    assert "dev wg$(id)" not in out


def test_nftables_is_said_in_a_comment() -> None:
    assert dry_run("--hostname", "aws-1", "--firewall", "nftables").startswith("# with --firewall")


def node(name: str, **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {f"kilo.squat.ai/{key.replace('_', '-')}": text for key, text in {
                "key": "xP/ZHM6XJ/lk90NKuzN7dC/5ae8MtRuSvqae7VccPyc=", "last-seen": "1000",
                "endpoint": "198.51.100.11:51820", "internal-ip": "10.1.0.11/24", **annotations,
            }.items()},
        },
        "spec": {"podCIDR": "10.42.0.0/24"},
    }  # fmt: skip


def peer(name: str, network: str, **spec: str) -> dict[str, Any]:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer", "metadata": {"name": name},
        "spec": {
            "allowedIPs": [network], "publicKey": "V027ovOHLJFJ3gpBDAGPIiZLo7HRDajfZLXWgmrddcU=",
            **spec,
        },
    }  # fmt: skip


def shown(tmp_path: Path, *objects: dict[str, Any]) -> tuple[int, str, str]:
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*objects]}))
    source = ("-f", str(file), "--at", "1000")
    return kgctl("agent", "--dry-run", "--hostname", "ams-1", *source)


def test_a_peer_gets_no_public_network_unasked(tmp_path: Path) -> None:
    code, out, errors = shown(tmp_path, node("ams-1"), peer("office", "8.8.8.0/24"))
    assert code == 0
    assert "8.8.8" not in out
    assert errors.startswith("refused: peer office claims 8.8.8.0/24")
    assert "--accept office=8.8.8.0/24" in errors


def test_a_hostile_name_becomes_no_command(tmp_path: Path) -> None:
    key = "V027ovOHLJFJ3gpBDAGPIiZLo7HRDajfZLXWgmrddcU="
    hostile = peer("x\nreboot\x1b[2J", "10.5.0.1/32", presharedKey=key)
    code, out, _ = shown(tmp_path, node("ams-1"), hostile)
    assert code == 0
    assert "reboot" not in out
    assert "\x1b" not in out
    assert f"# without the preshared key of {key}: its Peer has no valid name" in out


def test_a_node_that_takes_no_part_is_told_why(tmp_path: Path) -> None:
    code, out, errors = shown(tmp_path, node("ams-1", last_seen="1"), node("ams-2"))
    assert (code, out) == (1, "")
    assert "takes no part in the network: heartbeat" in errors


@linux
def test_an_agent_without_access_to_a_cluster_changes_nothing(tmp_path: Path) -> None:
    key = tmp_path / "kilo" / "key"
    missing = tmp_path / "kubeconfig"
    code, out, errors = kgctl(
        "agent", "--hostname", "x", "--kubeconfig", str(missing), "--key-file", str(key)
    )
    assert (code, out) == (1, "")
    assert "kubeconfig" in errors
    assert errors.count("\n") == 1
    assert not key.parent.exists()
