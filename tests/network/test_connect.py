"""``kgctl connect`` between real namespaces, with the real API server behind a breakable line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from kgctl.host.record import Record
from kgctl.mesh.text import time_text
from tests.files.users import MALLORY, give
from tests.network import agent, plan, probe, tunnel
from tests.network.commands import environment
from tests.network.connection import PATIENCE, Connection, kgctl
from tests.network.objects import peer_object
from tests.network.site import ADDRESS, AT_ONCE, Site, stranger, within
from tests.network.stream import Datagrams, Pinging
from tests.network.uplink import Uplink
from tests.support.recorded import kgctl as command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster

    Recorder = Callable[[str, str], None]

AMS = ("ams-1", "ams-2")
POD = plan.AMS_1.ipv4.pod
KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="
FAR_POD = plan.FRA_1.ipv4.pod


@pytest.fixture
def site(cluster: SmallCluster, api_server: ApiServer) -> Iterator[Site]:
    with Uplink(cluster["laptop"], api_server.url) as uplink:
        yield Site(cluster, api_server, uplink)


def kgctl_namespace(site: Site) -> str:
    """Return the number of the laptop's network namespace, by which records are named."""
    return site.laptop.run("stat", "-Lc", "%i", "/proc/self/ns/net").stdout.strip()


def wireguard_key(site: Site) -> str:
    return site.laptop.run("wg", "show", "kilo0", "public-key").stdout.strip()


def test_it_joins_and_leaves_the_host_as_it_was(site: Site) -> None:
    site.publish(*AMS, "fra-1", "home-1")
    before = site.traces()
    with site.connect() as connection:  # with a key that it makes itself
        connection.until("synchronised")
        site.lead()
        for node in (plan.AMS_1, plan.AMS_2, plan.FRA_1):
            for address in node.ipv4.to_ping:
                assert probe.reaches(site.laptop, address), f"{node.name} at {address}"
        assert probe.reaches(site.cluster["ams-1"], plan.LAPTOP.ipv4)
        assert site.peers() == ["laptop"]
        assert connection.end() == 0, connection.describe()
    assert site.traces() == before
    assert site.peers() == []


def test_what_happens_elsewhere_costs_no_packet(site: Site, record_property: Recorder) -> None:
    site.publish(*AMS)
    laptop, ams = site.laptop, site.cluster["ams-1"]
    with site.joined() as connection:
        assert probe.reaches(laptop, POD)
        handshake = tunnel.dump(laptop)[site.cluster.keys["ams-1"].public].latest_handshake
        with (
            Datagrams(site.cluster.lab, laptop, ams, POD, 8) as datagrams,
            Pinging(laptop, plan.AMS_2.ipv4.pod) as pings,
        ):
            time.sleep(1)
            # behind ours in the order of segments, and before: then every WireGuard IP moves up
            for number, location in ((1, "zzz"), (2, "aaa")):
                site.server.apply([stranger(number, location)])
                took = within(AT_ONCE, lambda: len(tunnel.dump(laptop)) == 2)
                record_property(f"seconds until applied ({location})", f"{took:.2f}")
                time.sleep(0.5)
                site.withdraw(f"stranger-{number}")
                within(AT_ONCE, lambda: len(tunnel.dump(laptop)) == 1)
            # a fellow of the same segment goes and comes: its networks leave the leader's
            site.withdraw("ams-2")
            within(AT_ONCE, lambda: "10.42.1.0/24" not in laptop.ip("route"))
            site.publish("ams-2")
            within(AT_ONCE, lambda: "10.42.1.0/24" in laptop.ip("route"))
        record_property("pings", str(pings.losses))
        record_property("datagrams", str(datagrams.losses))
        assert datagrams.losses.sent > 1000
        assert datagrams.losses.lost == 0
        # ams-2 was out of the network for a moment; the leader was not
        assert tunnel.dump(laptop)[site.cluster.keys["ams-1"].public].latest_handshake <= (
            handshake + 130
        )
        assert connection.said("failed") == []


@pytest.mark.parametrize("late", [0.1, 4.0], ids=["at-once", "late"])
def test_sessions_that_nodes_drop_begin_anew(
    site: Site, late: float, record_property: Recorder
) -> None:
    """Kilo's agents replace all peers of their device for any change, and ours knows of none."""
    site.publish(*AMS)
    with site.joined() as connection, Pinging(site.laptop, POD) as pings:
        began = time.monotonic()
        site.server.apply([stranger(1, "zzz")])
        time.sleep(late)
        agent.rewrite(site.cluster["ams-1"])
        connection.until("restarted sessions")
        within(
            AT_ONCE, lambda: tunnel.dump(site.cluster["ams-1"])[wireguard_key(site)].received > 0
        )
        time.sleep(1)
        pings.end()
        # a busy machine sends fewer than it is told to
        silence = pings.losses.lost / pings.losses.sent * (time.monotonic() - began)
        record_property("seconds without an answer", f"{silence:.1f}")
        assert 0.2 < silence < 9.0  # left alone it takes WireGuard 15 to notice
        assert "ams-1" in connection.said("restarted sessions")[0]["peers"]
        assert probe.reaches(site.laptop, POD)


def test_a_key_that_its_peer_was_given_ends_a_host_that_has_another(
    site: Site, tmp_path: Path
) -> None:
    site.publish(*AMS)
    before = site.traces()
    with site.connect() as connection:  # with a key that it makes itself
        connection.until("synchronised")
        rotated = command("--kubeconfig", str(site.server.kubeconfig), "peer", "rotate", "laptop",
                          "--private-key-file", str(tmp_path / "new.key"))  # fmt: skip
        assert rotated.code == 0, rotated.stderr
        assert connection.wait() == 1
    assert 'the public key of the Peer "laptop" changed' in connection.errors
    assert "--private-key" in connection.errors
    assert len(connection.errors.splitlines()) == 1
    assert site.traces() == before
    assert site.peers() == ["laptop"]  # whoever gave it the key needs it


def test_a_key_that_its_peer_was_given_is_taken_from_the_file(site: Site, tmp_path: Path) -> None:
    site.publish(*AMS)
    new = tmp_path / "new.key"
    with site.joined() as connection:
        rotated = command("--kubeconfig", str(site.server.kubeconfig), "peer", "rotate", "laptop",
                          "--private-key-file", str(new))  # fmt: skip
        assert rotated.code == 0, rotated.stderr
        told = connection.until("failed to sync")
        assert 'the public key of the Peer "laptop" changed' in told["err"]
        assert "put the new private key into" in told["err"]
        new.replace(site.laptop.directory / "laptop.key")
        connection.until("the peer's key changed")
        site.lead()
        within(20.0, lambda: probe.reaches(site.laptop, POD))
        assert connection.end() == 0, connection.describe()
    assert site.peers() == []


def test_a_node_comes_moves_and_goes(site: Site) -> None:
    site.publish(*AMS)
    laptop, far = site.laptop, site.cluster["fra-1"]
    key = site.cluster.keys["fra-1"].public
    with site.joined(), Pinging(laptop, POD) as pings:
        site.publish("fra-1")
        within(AT_ONCE, lambda: key in tunnel.dump(laptop))
        site.lead(only=("fra-1",))
        assert probe.reaches(laptop, FAR_POD)

        far.ip("address", "add", "203.0.113.21/24", "dev", "uplink")
        site.annotate("fra-1", endpoint="203.0.113.21:51820")
        within(AT_ONCE, lambda: tunnel.dump(laptop)[key].endpoint == "203.0.113.21:51820")
        assert probe.reaches(laptop, FAR_POD)
        far.ip("address", "del", "203.0.113.21/24", "dev", "uplink")

        site.withdraw("fra-1")
        within(AT_ONCE, lambda: key not in tunnel.dump(laptop))
        within(AT_ONCE, lambda: FAR_POD.rpartition(".")[0] not in laptop.ip("route"))  # comes next
    assert pings.losses.lost == 0, pings.losses


@pytest.mark.parametrize("how", ["cut", "stalled"])
def test_the_tunnel_goes_on_without_the_api_server(site: Site, how: str) -> None:
    site.publish(*AMS)
    with site.joined("--resync-period", "1s") as connection:
        with Pinging(site.laptop, POD) as pings:
            (site.uplink.cut if how == "cut" else site.uplink.stall)()
            if how == "cut":
                connection.until("cannot follow", 2)
            site.publish("fra-1")
            time.sleep(3)
            assert len(tunnel.dump(site.laptop)) == 1
            site.uplink.mend()
            within(AT_ONCE, lambda: len(tunnel.dump(site.laptop)) == 2)
        assert pings.losses.lost == 0, pings.losses
        assert connection.end() == 0
    assert site.peers() == []


def test_it_follows_an_api_server_that_came_back_from_a_backup(site: Site) -> None:
    site.publish(*AMS)
    with site.server.rolled_back() as roll_back, site.joined() as connection:
        site.publish("fra-1", "home-1")
        within(AT_ONCE, lambda: len(tunnel.dump(site.laptop)) == 3)
        with Pinging(site.laptop, POD) as pings:
            roll_back()  # to before our Peer was created, too
            connection.until("created the peer again", within=60)
            within(AT_ONCE, lambda: len(tunnel.dump(site.laptop)) == 1)
            site.publish("fra-1")
            within(AT_ONCE, lambda: len(tunnel.dump(site.laptop)) == 2)
        assert pings.losses.lost == 0, pings.losses
        assert site.peers() == ["laptop"]
    assert site.peers() == []


def test_what_a_killed_one_left_is_taken_over(site: Site) -> None:
    site.publish(*AMS)
    before = site.traces()
    with site.joined() as first:
        key = wireguard_key(site)
        with Pinging(site.laptop, POD) as pings:
            first.kill()
            site.publish("fra-1")
            second = site.connect()  # it is given no key: it finds it
            with second:
                second.until("took over the WireGuard interface")
                second.until("synchronised")
                assert wireguard_key(site) == key
                assert len(tunnel.dump(site.laptop)) == 2
                assert site.peers() == ["laptop"]
                pings.end()
        assert pings.losses.lost == 0, pings.losses
    assert site.traces() == before
    assert site.peers() == []


def test_a_killed_one_whose_program_died_too(site: Site) -> None:
    site.publish(*AMS)
    before = site.traces()
    with site.joined() as first:
        first.kill()
    site.laptop.ip("link", "delete", "kilo0")  # and with it wireguard-go, and the private key
    with site.connect() as second:
        second.until("took over the peer")
        second.until("synchronised")
        site.lead()
        assert probe.reaches(site.laptop, POD)
    assert site.traces() == before
    assert site.peers() == []


def test_the_peer_under_another_name_that_a_killed_one_left_goes(site: Site) -> None:
    site.publish(*AMS)
    with site.joined() as first:
        first.kill()
    with Connection(site.laptop, site.kubeconfig, "desk", "-a", "10.5.0.9/32") as second:
        second.until("synchronised")
        assert site.peers() == ["desk"]
        assert "10.5.0.9/32" in site.laptop.ip("address", "show", "dev", "kilo0")
        assert plan.LAPTOP.ipv4 not in site.laptop.ip("address", "show", "dev", "kilo0")
    assert site.peers() == []


@pytest.mark.parametrize("whose", ["the directory", "the record"])
def test_a_record_of_another_user_costs_nobody_their_peer(site: Site, whose: str) -> None:
    site.publish(*AMS)
    key = site.cluster.keys["phone"].public
    site.server.apply([peer_object(plan.PHONE, key)])
    number = kgctl_namespace(site)
    record = site.laptop.directory / f"kilo0.{number}.json"
    record.write_text(json.dumps(asdict(Record(interface="kilo0", peer="phone", peer_key=key))))
    give(record, MALLORY)
    if whose == "the directory":
        give(site.laptop.directory, MALLORY)
    try:
        with Connection(site.laptop, site.kubeconfig, "desk", "-a", "10.5.0.9/32") as connection:
            if whose == "the directory":
                assert connection.wait() == 1
                assert "the directory belongs to another user" in connection.errors
            else:
                connection.until("synchronised")
                assert connection.end() == 0, connection.describe()
    finally:
        give(site.laptop.directory, 0)
        record.unlink(missing_ok=True)
    assert site.peers() == ["phone"]


def test_the_second_on_one_interface_says_so_and_ends(site: Site) -> None:
    site.publish(*AMS)
    with site.joined() as first:
        with site.connect() as second:
            assert second.wait() == 1
        assert f"another kgctl connect (process {first.pid}) uses the interface" in second.errors
        assert probe.reaches(site.laptop, POD)
        assert site.peers() == ["laptop"]


def test_an_interface_that_was_there_is_given_back_as_it_was(site: Site) -> None:
    site.publish(*AMS)
    laptop = site.laptop
    laptop.run("wireguard-go", "kilo0")
    laptop.run("sh", "-c", "wg genkey | wg set kilo0 private-key /dev/stdin listen-port 1234")
    laptop.ip("address", "add", "10.77.0.1/24", "dev", "kilo0")
    laptop.ip("link", "set", "kilo0", "up", "mtu", "1300")
    laptop.ip("route", "add", "10.78.0.0/24", "dev", "kilo0")
    shown = laptop.run("wg", "showconf", "kilo0").stdout
    before = site.traces()
    with site.joined() as connection:
        assert connection.said("using the existing WireGuard interface")
        assert probe.reaches(laptop, POD)
    assert site.traces() == before
    assert laptop.run("wg", "showconf", "kilo0").stdout == shown


def test_an_interface_that_somebody_removes_is_set_up_again(site: Site) -> None:
    site.publish(*AMS)
    with site.joined("--resync-period", "1s") as connection:
        site.laptop.ip("link", "delete", "kilo0")
        connection.until("synchronised", 2)
        assert probe.reaches(site.laptop, POD)


@pytest.mark.parametrize("address", ["169.254.7.7/32", "fe80::7/128"])
def test_a_link_local_address_is_no_change_by_somebody_else(site: Site, address: str) -> None:
    site.publish(*AMS)
    site.address = address
    with site.connect("--resync-period", "1s") as connection:
        connection.until("synchronised")
        assert address.partition("/")[0] in site.laptop.ip("address", "show", "dev", "kilo0")
        time.sleep(3)
        assert not connection.said("the interface was changed by somebody else")


def test_with_a_key_of_its_own_and_a_peer_that_is_there(site: Site, tmp_path: Path) -> None:
    site.publish(*AMS)
    keys = site.cluster.keys["laptop"]
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(f"{keys.private}\n")
    preshared = tunnel.preshared_key()
    site.server.apply([peer_object(plan.LAPTOP, keys.public, preshared=preshared)])
    with site.connect() as other:  # with a key that it made itself
        assert other.wait() == 1
    assert "its public key" in other.errors
    assert "--private-key" in other.errors
    options = ("--private-key", str(file), "--service-cidr", "10.43.0.0/16")
    with site.joined(*options) as connection:
        assert probe.reaches(site.laptop, POD)
        assert "10.43.0.0/16 via 10.4.0.1" in site.laptop.ip("route")
        command = site.laptop.run("ps", "-o", "args=", "--pid", str(connection.pid)).stdout
        everything = command + connection.describe()
    for secret in (keys.private, preshared):
        assert secret not in everything
    assert site.peers() == ["laptop"]  # it was there before


def test_clean_up_may_be_left_out(site: Site) -> None:
    site.publish(*AMS)
    with site.joined("--clean-up=false") as connection:
        assert connection.end(signal.SIGINT) == 0
    assert probe.reaches(site.laptop, POD)
    assert site.peers() == ["laptop"]
    with site.connect() as again:
        again.until("synchronised")  # takes it over, and cleans up
    assert site.peers() == []


def test_once_applies_and_exits(site: Site) -> None:
    site.publish(*AMS)
    with site.connect("--once") as connection:
        assert connection.wait() == 0, connection.describe()
    site.lead()
    assert probe.reaches(site.laptop, POD)
    with site.connect() as taken:
        taken.until("took over the WireGuard interface")


@pytest.mark.parametrize("kept", [True, False], ids=["key-file", "new-key"])
def test_a_dry_run_touches_nothing_and_its_commands_do_it(site: Site, kept: bool) -> None:
    site.publish(*AMS)
    keys, before = site.cluster.keys["laptop"], site.traces()
    file = site.laptop.write("laptop.key", keys.private)
    argv = ("--kubeconfig", str(site.kubeconfig), "connect", "laptop", "-a", "10.5.0.1/32")
    options = ("--private-key", str(file)) if kept else ()
    script = kgctl(site.laptop, *argv, *options, "--persistent-keepalive", "2", "--dry-run").stdout
    assert site.traces() == before
    assert site.peers() == []
    assert keys.private not in script
    programs = site.laptop.directory / "stand-ins"
    programs.mkdir(exist_ok=True)
    (programs / "kubectl").write_text(f"#!/bin/sh\ncat >{programs}/manifest\n")
    (programs / "kubectl").chmod(0o755)
    script = script.replace("ip link add kilo0 type wireguard", "wireguard-go kilo0")
    path = f"PATH={programs}{os.pathsep}{environment()['PATH']}"
    site.laptop.run("env", path, "bash", "-euc", script)
    site.server.apply([json.loads((programs / "manifest").read_text())])
    site.lead()
    assert probe.reaches(site.laptop, POD)


def test_another_peer_that_has_this_host_s_address_is_told(site: Site) -> None:
    site.publish(*AMS)
    desk, phone = (
        {
            "apiVersion": "kilo.squat.ai/v1alpha1",
            "kind": "Peer",
            "metadata": {"name": name},
            "spec": {"allowedIPs": ["10.10.10.10/32"], "publicKey": tunnel.preshared_key()},
        }
        for name in ("desk", "phone")
    )
    site.server.apply([desk])
    argv = ("--kubeconfig", str(site.kubeconfig), "connect", "laptop")
    text = "the address 10.10.10.10/32 of this host is in use elsewhere: 10.10.10.10/32 "
    dry = kgctl(site.laptop, *argv, "--dry-run").stdout
    assert f"# {text}(an allowed IP of peer desk)" in dry
    with Connection(site.laptop, site.kubeconfig, "laptop") as connection:
        told = connection.until(text)
        assert told["level"] == "warn"
        assert "(an allowed IP of peer desk); nodes send its packets to peer desk" in told["msg"]
        site.server.apply([phone])
        told = connection.until(text, 2)
        assert "peer phone" in told["msg"]
    assert len(connection.said(text)) == 2


def test_a_peer_ends_at_its_time_without_any_event(site: Site) -> None:
    site.publish(*AMS)

    def let_in(end: int) -> None:
        guest = peer_object(replace(plan.PHONE, name="guest"), KEY)
        guest["metadata"]["annotations"] = {"kgctl.dev/expires": time_text(end)}
        site.server.apply([guest])

    with site.joined("--resync-period", "10m"):
        let_in(int(time.time()) + 86400)
        within(AT_ONCE, lambda: KEY in tunnel.dump(site.laptop))
        assert plan.PHONE.ipv4 in site.laptop.ip("route")
        end = int(time.time()) + 3
        let_in(end)
        time.sleep(max(0.0, end - time.time()))
        within(AT_ONCE, lambda: KEY not in tunnel.dump(site.laptop))
        assert time.time() >= end
        assert plan.PHONE.ipv4 not in site.laptop.ip("route")
        assert "guest" in site.peers()


def test_status_says_how_it_goes_and_why_not(site: Site) -> None:
    site.publish(*AMS, "home-1")
    with site.joined():
        assert probe.reaches(site.laptop, POD)
        shown = json.loads(kgctl(site.laptop, "status", "-o", "json").stdout)["items"]
        assert [one["interface"] for one in shown] == ["kilo0"]
        peers = {peer["name"]: peer for peer in shown[0]["peers"]}
        assert peers["ams-1"]["connected"]
        assert peers["ams-1"]["reasons"] == []
        assert peers["ams-1"]["lastHandshakeSecondsAgo"] < 60
        assert peers["ams-1"]["receivedBytesPerSecond"] >= 0
        assert not peers["home-1"]["connected"]
        assert "both are behind NAT" in peers["home-1"]["reasons"][0]
        told = kgctl(site.laptop, "status", "kilo0")
        assert "kilo0: 1 of 2 peers connected" in told.stdout
        assert "home-1: its endpoint 192.168.77.10:51820 is a private address" in told.stderr
    gone = kgctl(site.laptop, "status", check=False)
    assert gone.returncode == 1
    assert "has no tunnel of Kilo" in gone.stderr


@pytest.mark.needs("setpriv")
def test_it_takes_cap_net_admin_and_nothing_else(site: Site) -> None:
    site.publish(*AMS)
    before = site.traces()
    only = ("setpriv", "--bounding-set", "-all,+net_admin", "--inh-caps", "-all,+net_admin")
    with Connection(site.laptop, site.kubeconfig, "laptop", within=only) as connection:
        connection.until("synchronised")
        caps = site.laptop.run("grep", "CapBnd", f"/proc/{connection.pid}/status").stdout
        assert int(caps.split()[1], 16) == 1 << 12
        site.lead()
        assert connection.end() == 0, connection.describe()
    assert site.traces() == before
    without = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")
    with Connection(site.laptop, site.kubeconfig, "laptop", within=without) as refused:
        assert refused.wait() == 1
    assert "CAP_NET_ADMIN" in refused.errors
    assert len(refused.errors.splitlines()) == 1
    assert site.traces() == before
    assert site.peers() == []


@pytest.mark.needs("script")
def test_on_a_terminal_there_is_a_live_view(site: Site) -> None:
    site.publish(*AMS)
    number, shown = site.laptop.directory / "number", site.laptop.directory / "shown"
    command = (
        f"echo $$ >{number}; exec {sys.executable} -m kgctl --kubeconfig {site.kubeconfig} "
        f"connect laptop -a {ADDRESS}"
    )
    records = f"RUNTIME_DIRECTORY={site.laptop.directory}"
    terminal = ("env", records, "TERM=xterm", "script", "-qefc", command, str(shown))
    with subprocess.Popen(
        site.laptop.entered(*terminal), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as running:
        try:
            within(PATIENCE, lambda: shown.exists() and "last event: " in shown.read_text())
            within(PATIENCE, lambda: "of 1 peers connected" in shown.read_text())
            os.kill(int(number.read_text()), signal.SIGINT)
            running.wait(PATIENCE)
        finally:
            running.kill()
    text = shown.read_text()
    assert "created peer, peer: laptop" in text
    assert "kilo0: " in text
    assert "deleted peer" in text
    assert site.peers() == []
