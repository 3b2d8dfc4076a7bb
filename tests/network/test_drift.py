"""``kgctl drift`` on ``wg``'s output for real interfaces, before and after manual changes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.network import plan, probe, tunnel
from tests.network.command_line import Kgctl
from tests.network.commands import environment
from tests.network.objects import node_objects, peer_object, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.network.layout import SmallCluster


class Network:
    """The small cluster with the laptop in it, up and in use, and what drift says of it."""

    def __init__(self, cluster: SmallCluster, directory: Path) -> None:
        self.cluster = cluster
        self.preshared = tunnel.preshared_key()
        keys = cluster.keys["laptop"]
        peer = peer_object(plan.LAPTOP, keys.public, preshared=self.preshared)
        state = write_manifest(directory / "state.json", [*node_objects(cluster.keys), peer])
        self.kgctl = Kgctl(("-f", str(state)))
        self.kgctl.lead(cluster)
        tunnel.join(cluster["laptop"], self.kgctl.wg_quick(plan.LAPTOP, keys, directory))
        for machine, target in (("laptop", plan.AMS_1), ("laptop", plan.FRA_1),
                                ("home-1", plan.AMS_1), ("home-1", plan.FRA_1)):  # fmt: skip
            assert probe.reaches(cluster[machine], target.ipv4.pod)

    def drift(self, name: str, *words: str) -> tuple[int, dict[str, Any], str]:
        """Return the exit code and the answer for what ``wg WORDS`` prints on the machine."""
        dump = self.cluster[name].run("wg", *words).stdout
        done = subprocess.run(
            self.kgctl.argv("drift", name, "--dump", "-", "-o", "json"),
            input=dump, capture_output=True, text=True, check=False, env=environment(),
        )  # fmt: skip
        text = subprocess.run(
            [sys.executable, "-m", "kgctl", *self.kgctl.source, "drift", name, "--dump", "-"],
            input=dump, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr + text.stdout + text.stderr
        for secret in (self.preshared, *(keys.private for keys in self.cluster.keys.values())):
            assert secret not in said
        assert done.returncode == text.returncode
        return done.returncode, json.loads(done.stdout), text.stdout


@pytest.fixture
def network(cluster: SmallCluster, tmp_path: Path) -> Network:
    return Network(cluster, tmp_path)


def test_what_nobody_meddled_with_is_as_it_should_be(network: Network) -> None:
    for name, device in (("ams-1", tunnel.KILO), ("fra-1", tunnel.KILO), ("laptop", "kgctl")):
        for words in (("show", "all", "dump"), ("show", device, "dump"), ("show",)):
            code, found, text = network.drift(name, *words)
            faults = [one for one in found["differences"] if one["fault"]]
            # home-1 is behind NAT: neither the laptop nor anybody else can call it
            assert [one["who"] for one in faults if one["who"] != "node home-1"] == [], text
            assert (code == 1) is bool(faults)
    # a leader sees the node behind NAT at its router: it roamed, and works
    code, found, text = network.drift("ams-1", "show", "all", "dump")
    assert code == 0
    assert [(one["kind"], one["who"]) for one in found["differences"]] == [
        ("roamed", "node home-1")
    ]
    assert "it works" in text


def test_what_was_meddled_with_is_found(network: Network) -> None:
    ams, keys = network.cluster["ams-1"], network.cluster.keys
    other = tunnel.KeyPair.generate()

    def set_peer(name: str, *settings: str) -> None:
        ams.run("wg", "set", tunnel.KILO, "peer", keys[name].public, *settings)

    set_peer("fra-1", "allowed-ips", "10.42.2.0/24,10.99.0.0/16", "persistent-keepalive", "7")
    set_peer("home-1", "remove")
    ams.run("wg", "set", tunnel.KILO, "peer", other.public, "allowed-ips", "10.98.0.0/16")
    ams.run("wg", "set", tunnel.KILO, "peer", keys["laptop"].public, "preshared-key", "/dev/stdin",
            stdin=tunnel.preshared_key())  # fmt: skip
    ams.run("wg", "set", tunnel.KILO, "listen-port", "51999")

    expected = {
        ("listen-port", None): ("51820", "51999"),
        ("allowed-ips", "node fra-1"): ("10.4.0.2/32, 10.20.0.1/32", "10.99.0.0/16"),
        ("keepalive", "node fra-1"): ("0", "7"),
        ("missing", "node home-1"): ("192.168.77.10:51820", None),
        ("preshared-key", "peer laptop"): ("one", "another"),
        ("extra", None): (None, "10.98.0.0/16"),
    }
    for words in (
        ("show", "all", "dump"),
        ("show", tunnel.KILO, "dump"),
        ("showconf", tunnel.KILO),
    ):
        code, found, _ = network.drift("ams-1", *words)
        assert code == 1
        faults = {
            (one["kind"], one["who"]): (one["wanted"], one["found"])
            for one in found["differences"]
            if one["fault"]
        }
        assert faults == expected, words
    # for people wg hides the keys, so that another one looks like the right one
    code, found, _ = network.drift("ams-1", "show", tunnel.KILO)
    shown = {(one["kind"], one["who"]) for one in found["differences"] if one["fault"]}
    assert (code, shown) == (1, set(expected) - {("preshared-key", "peer laptop")})


def test_a_wrong_key_and_a_wrong_endpoint_are_found(network: Network) -> None:
    ams, keys = network.cluster["ams-1"], network.cluster.keys
    ams.run("wg", "set", tunnel.KILO, "private-key", "/dev/stdin",
            stdin=tunnel.KeyPair.generate().private)  # fmt: skip
    code, found, text = network.drift("ams-1", "show", "all", "dump")
    assert code == 1
    assert "key" in {one["kind"] for one in found["differences"]}
    assert keys["ams-1"].public in text
    ams.run(
        "wg", "set", tunnel.KILO, "peer", keys["fra-1"].public, "endpoint", "203.0.113.99:51820"
    )
    _, found, _ = network.drift("ams-1", "showconf", tunnel.KILO)
    endpoints = {
        one["who"]: one["found"] for one in found["differences"] if one["kind"] == "endpoint"
    }
    assert endpoints["node fra-1"] == "203.0.113.99:51820"


def test_a_preshared_key_that_is_gone_stays_until_the_interface_was_down(
    network: Network, tmp_path: Path
) -> None:
    """``wg syncconf`` of 1.0.20210914 leaves it, as docs/small-office.md says."""
    laptop, keys = network.cluster["laptop"], network.cluster.keys
    peer = peer_object(plan.LAPTOP, keys["laptop"].public)
    state = write_manifest(tmp_path / "without.json", [*node_objects(keys), peer])
    network.kgctl = Kgctl(("-f", str(state)))
    file = laptop.write("kgctl.conf", network.kgctl.wg_quick(plan.LAPTOP, keys["laptop"], tmp_path))
    laptop.run("bash", "-c", f"wg syncconf kgctl <(wg-quick strip {file})")

    def kinds() -> set[str]:
        _, found, _ = network.drift("laptop", "show", "kgctl", "dump")
        return {one["kind"] for one in found["differences"] if one["fault"]}

    assert "preshared-key" in kinds()
    tunnel.leave(laptop)
    tunnel.join(laptop, file.read_text())
    assert "preshared-key" not in kinds()


def test_all_traffic_loses_its_mark_by_syncconf(network: Network, tmp_path: Path) -> None:
    """And ``wg-quick down`` then leaves its rules, as docs/small-office.md says."""
    laptop, keys = network.cluster["laptop"], network.cluster.keys
    tunnel.leave(laptop)
    text = network.kgctl.wg_quick(plan.LAPTOP, keys["laptop"], tmp_path, "--gateway", "ams-1")
    tunnel.join(laptop, text)
    assert laptop.run("wg", "show", "kgctl", "fwmark").stdout.strip() == "0xca6c"
    file = laptop.directory / "kgctl.conf"
    laptop.run("bash", "-c", f"wg syncconf kgctl <(wg-quick strip {file})")
    assert laptop.run("wg", "show", "kgctl", "fwmark").stdout.strip() == "off"
    tunnel.leave(laptop)
    assert "suppress_prefixlength" in laptop.run("ip", "rule", "show").stdout
    for version in ("-4", "-6"):
        for rule in (("table", "main", "suppress_prefixlength", "0"), ("table", "51820")):
            laptop.run("ip", version, "rule", "delete", *rule)
