"""``kgctl connect`` on a device of the kernel's."""

from __future__ import annotations

import base64
import json
import re
import signal

import pytest

from tests.kernel.site import ADDRESS, DEVICE, POD, Site, add_tunnel, far_node, within
from tests.network.commands import CommandError
from tests.network.tunnel import KeyPair


def test_join_change_and_leave(site: Site) -> None:
    before = site.traces()
    connection = site.connect()
    connection.until("created WireGuard interface")
    connection.until("synchronised")
    assert site.reaches(), connection
    assert site.peers() == ["laptop"]
    assert f"dev {DEVICE} proto 75 src 10.5.0.1" in site.host.ip("route")

    key = KeyPair.generate().public
    site.publish(far_node("fra-1", 2, "203.0.113.20:51820", key))
    within(20, lambda: key in site.device())
    assert site.device()[key].endpoint == "203.0.113.20:51820"
    session = site.device()[site.keys["ams-1"].public].latest_handshake
    site.annotate("fra-1", endpoint="[2001:db8:20::20]:51821")
    within(20, lambda: site.device()[key].endpoint == "[2001:db8:20::20]:51821")
    site.withdraw("fra-1")
    within(20, lambda: key not in site.device())
    within(20, lambda: "10.42.2.0/24" not in site.host.ip("route"))
    assert site.device()[site.keys["ams-1"].public].latest_handshake >= session > 0
    assert site.reaches()

    assert connection.end() == 0, connection
    assert site.traces() == before
    assert site.peers() == []


def test_a_killed_one_is_taken_over(site: Site) -> None:
    before = site.traces()
    first = site.connect()
    first.until("synchronised")
    assert site.reaches(), first
    session = site.device()[site.keys["ams-1"].public].latest_handshake
    first.end(signal.SIGKILL)
    assert site.reaches()  # the kernel's device goes on alone
    second = site.connect()
    second.until("took over the WireGuard interface")
    second.until("synchronised")
    assert site.device()[site.keys["ams-1"].public].latest_handshake == session
    assert second.end() == 0, second
    assert site.traces() == before
    assert site.peers() == []


def test_no_clean_up(site: Site) -> None:
    before = site.traces()
    first = site.connect("--no-clean-up")
    first.until("synchronised")
    assert first.end(signal.SIGINT) == 0, first
    assert site.reaches()
    assert site.peers() == ["laptop"]
    second = site.connect()
    second.until("took over")
    second.until("synchronised")
    assert second.end() == 0, second
    assert site.traces() == before
    assert site.peers() == []


def test_an_interface_that_was_there_is_given_back(site: Site) -> None:
    add_tunnel(site.host)
    other = KeyPair.generate()
    file = site.host.write("other.key", f"{other.private}\n")
    peer = KeyPair.generate().public
    site.host.run("wg", "set", DEVICE, "private-key", str(file), "listen-port", "1234",
                  "peer", peer, "allowed-ips", "10.99.0.0/24,fd99::/64",
                  "endpoint", "[2001:db8::9]:9", "persistent-keepalive", "25",
                  "preshared-key", str(file))  # fmt: skip
    site.host.batch(
        f"address add 10.77.0.1/24 dev {DEVICE}",
        f"link set {DEVICE} up mtu 1300",
        f"route add 10.78.0.0/24 dev {DEVICE}",
    )
    before = site.traces() + site.host.run("wg", "showconf", DEVICE).stdout
    connection = site.connect()
    connection.until("using the existing WireGuard interface")
    connection.until("synchronised")
    assert peer not in site.device()
    assert site.reaches(), connection
    assert connection.end() == 0, connection
    assert site.traces() + site.host.run("wg", "showconf", DEVICE).stdout == before


def test_an_interface_that_was_there_without_a_key_has_none_afterwards(site: Site) -> None:
    add_tunnel(site.host)
    before = site.traces()
    connection = site.connect()
    connection.until("synchronised")
    assert connection.end() == 0, connection
    assert site.host.run("wg", "show", DEVICE, "private-key").stdout.strip() == "(none)"
    assert site.traces() == before


def state_of(site: Site) -> list[str]:
    """Return what connect sets on the host, as the tools show it."""
    # the kernel lists peers, and the networks of each, in the order in which they came
    sections = site.host.run("wg", "showconf", DEVICE).stdout.split("\n\n")
    device = sorted("\n".join(sorted(re.split(r", |= |\n", one))) for one in sections)
    addresses = site.host.ip("-o", "address", "show", "dev", DEVICE, "scope", "global")
    routes = site.host.ip("route", "show", "dev", DEVICE)
    link = json.loads(site.host.ip("-j", "link", "show", "dev", DEVICE))[0]
    kept = sorted(set(link["flags"]) & {"UP", "LOWER_UP", "NOARP"})
    own = (addresses.partition(" ")[2], f"{link['mtu']} {kept}")
    return [*device, *own, *(line.strip() for line in routes.splitlines())]


def dry_run(site: Site, *options: str) -> None:
    """Do on the host what ``connect --dry-run`` prints, without kubectl."""
    own = ("connect", "laptop", "-a", ADDRESS, "--private-key", str(site.key), "--dry-run")
    done = site.kgctl(*own, "--persistent-keepalive", "2", *options)
    assert done.code == 0, done.stderr
    assert site.keys["host"].private not in done.stdout
    stand_in = "kubectl() { cat >/dev/null; }\n"
    site.host.run("bash", "-euc", stand_in + done.stdout)


@pytest.mark.parametrize("before", ["no-interface", "an-interface", "a-tunnel"])
def test_a_dry_run_prints_what_connect_does(site: Site, before: str) -> None:
    fra, home = KeyPair.generate().public, KeyPair.generate().public
    site.publish(far_node("home-1", 3, "203.0.113.30:51820", home))
    commands = Preparation(site, fra).steps[before]
    commands()
    dry_run(site)
    printed = state_of(site)
    site.host.ip("link", "delete", DEVICE)
    commands()
    done = site.kgctl("connect", "laptop", "-a", ADDRESS, "--private-key", str(site.key), "--once",
                      "--persistent-keepalive", "2")  # fmt: skip
    assert done.code == 0, done.stderr
    assert printed == state_of(site)


class Preparation:
    """What the host has before: nothing, an interface as it comes, or one that is set up otherwise.

    The tunnel has another port and MTU, a node that has gone, one with other allowed IPs, and
    routes of kgctl's to what has gone.
    """

    def __init__(self, site: Site, gone: str) -> None:
        self._site = site
        self._gone = gone
        self.steps = {
            "no-interface": lambda: None,
            "an-interface": lambda: add_tunnel(site.host),
            "a-tunnel": self._tunnel,
        }

    def _tunnel(self) -> None:
        add_tunnel(self._site.host)
        ams = self._site.keys["ams-1"].public
        self._site.host.run("wg", "set", DEVICE, "listen-port", "51999",
                            "private-key", str(self._site.key),
                            "peer", self._gone, "allowed-ips", "10.42.2.0/24",
                            "peer", ams, "allowed-ips", "10.4.0.1/32,10.66.0.0/24")  # fmt: skip
        self._site.host.batch(
            f"address add {ADDRESS} dev {DEVICE}",
            f"link set {DEVICE} up mtu 1380",
            f"route add 10.66.0.0/24 dev {DEVICE} proto 75",
            f"route add 10.4.0.1/32 dev {DEVICE} proto 75 src 10.5.0.1",
        )


def test_what_somebody_changes_is_mended(site: Site) -> None:
    """Each thing that connect sets, taken away or changed by hand: a period mends it."""
    connection = site.connect("--resync-period", "1s")
    connection.until("synchronised")
    wanted, ams = state_of(site), site.keys["ams-1"].public
    other = site.host.write("other.key", f"{KeyPair.generate().private}\n")
    changes = (
        f"ip route delete 10.42.0.0/24 dev {DEVICE}",
        f"wg set {DEVICE} peer {ams} remove",
        f"wg set {DEVICE} peer {ams} allowed-ips 10.9.0.0/16",
        f"wg set {DEVICE} listen-port 51999",
        f"wg set {DEVICE} private-key {other}",
        f"ip link set {DEVICE} down",
        f"ip link delete {DEVICE}",
        f"ip link set {DEVICE} mtu 1280",
        f"ip address delete {ADDRESS} dev {DEVICE}",
    )
    left = []
    for change in changes:
        site.host.run(*change.split())
        if not mended(site, wanted):
            left.append(change)
            site.host.ip("link", "delete", DEVICE)  # which is made anew, whole
            assert mended(site, wanted), connection
    assert left == [], connection
    assert connection.end() == 0, connection


def mended(site: Site, wanted: object) -> bool:
    """Tell whether the host is as wanted within some periods."""
    try:
        within(30, lambda: DEVICE in site.host.ip("link") and state_of(site) == wanted)
    except (AssertionError, CommandError):
        return False
    return True


def test_a_key_that_is_not_clamped_is_set_once(site: Site) -> None:
    """32 random bytes are a private key to ``wg``, and the kernel clamps them."""
    raw = base64.b64encode(bytes([255]) * 32).decode()
    key = site.host.write("raw.key", f"{raw}\n")
    public = site.host.run("wg", "pubkey", stdin=raw).stdout.strip()
    site.node.run("wg", "set", DEVICE, "peer", public, "allowed-ips", ADDRESS)
    connection = site.connect("--resync-period", "1s", key=key)
    connection.until("synchronised")
    assert site.reaches(), connection
    session = site.device()[site.keys["ams-1"].public].latest_handshake
    site.publish(far_node("fra-1", 2, "203.0.113.20:51820", KeyPair.generate().public))
    connection.until("synchronised", 2)
    assert connection.end() == 0
    (written,) = connection.said("wrote to this host")
    assert written["device_writes"] == 2, connection  # joining, and fra-1
    assert session > 0


def test_a_keepalive_that_wireguard_cannot_hold_makes_the_peer_invalid(site: Site) -> None:
    """The CRD allows any number, and WireGuard's messages hold 16 bits; the tunnel stays."""
    connection = site.connect("--resync-period", "1s")
    connection.until("synchronised")
    site.publish(site.own_peer(persistentKeepalive=65536))
    told = connection.until("failed to sync")
    assert 'persistentKeepalive "65536" is more than WireGuard\'s 65535 seconds' in told["err"]
    assert site.reaches(), connection
    site.publish(site.own_peer(persistentKeepalive=65535))
    ams = site.keys["ams-1"].public
    within(30, lambda: site.device()[ams].keepalive == 65535)
    assert connection.end() == 0, connection


def test_ipv6_switched_off(site: Site) -> None:
    site.host.sysctl(net__ipv6__conf__all__disable_ipv6=1, net__ipv6__conf__default__disable_ipv6=1)
    key = KeyPair.generate().public
    site.publish(far_node("fra-1", 2, "[2001:db8:20::20]:51820", key))
    connection = site.connect()
    connection.until("synchronised")
    assert site.reaches(), connection
    assert site.device()[key].endpoint == "[2001:db8:20::20]:51820"
    shown = site.kgctl("status")
    assert shown.code in (0, 1), shown.stderr
    assert "fra-1" in shown.stdout, shown.stderr
    assert connection.end() == 0, connection


def test_an_address_of_ipv6_with_ipv6_off_is_refused_in_words(site: Site) -> None:
    site.host.sysctl(net__ipv6__conf__all__disable_ipv6=1, net__ipv6__conf__default__disable_ipv6=1)
    done = site.kgctl("connect", "laptop", "-a", "fd10:5::1/128", "--once")
    assert done.code == 1
    assert "IPv6" in done.stderr
    assert "CAP_NET_ADMIN" not in done.stderr
    assert site.peers() == []


def test_a_name_of_fifteen_bytes(site: Site) -> None:
    name = "kilo-123456789a"
    before = site.traces()
    connection = site.connect("--interface", name)
    connection.until("synchronised")
    assert site.reaches(), connection
    assert name in site.kgctl("status", name).stdout
    assert connection.end() == 0, connection
    assert site.traces() == before
    assert site.kgctl("connect", "laptop", "--interface", f"{name}x", "--once").code != 0


def test_endpoints_of_both_families(site: Site) -> None:
    site.annotate("ams-1", endpoint="[2001:db8:10::10]:51820")
    connection = site.connect("--resync-period", "1s")
    connection.until("synchronised")
    assert site.reaches(), connection
    ams = site.keys["ams-1"].public
    assert site.device()[ams].endpoint == "[2001:db8:10::10]:51820"
    site.annotate("ams-1", endpoint="198.51.100.10:51820")
    within(20, lambda: site.device()[ams].endpoint == "198.51.100.10:51820")
    assert site.reaches(), connection
    assert connection.end() == 0, connection


def test_a_link_local_endpoint_keeps_its_zone(site: Site) -> None:
    """An interface that was there calls its peer by a link-local address, and does so again."""
    add_tunnel(site.host)
    peer = KeyPair.generate().public
    endpoint = "[fe80::1%uplink]:51820"
    site.host.run("wg", "set", DEVICE, "private-key", str(site.key),
                  "peer", peer, "endpoint", endpoint, "allowed-ips", "10.99.0.0/24")  # fmt: skip
    before = site.host.run("wg", "showconf", DEVICE).stdout
    assert endpoint in before
    connection = site.connect()
    connection.until("synchronised")
    assert connection.end() == 0, connection
    assert site.host.run("wg", "showconf", DEVICE).stdout == before


def test_one_key_twice_and_our_own_key(site: Site) -> None:
    """A node with another's key, and one with ours: no device is its own peer."""
    site.publish(far_node("fra-1", 2, "203.0.113.20:51820", site.keys["ams-1"].public))
    site.publish(far_node("home-1", 3, "203.0.113.30:51820", site.keys["host"].public))
    connection = site.connect("--resync-period", "1s")
    connection.until("synchronised")
    assert site.reaches(), connection
    assert set(site.device()) == {site.keys["ams-1"].public}
    assert len(connection.said("synchronised")) == 1  # and no write at every period
    assert connection.end() == 0, connection
    (written,) = connection.said("wrote to this host")
    assert written["device_writes"] == 1, connection


def test_an_mtu_of_9000(site: Site) -> None:
    for machine, ends in ((site.host, ("uplink",)), (site.node, ("uplink", DEVICE))):
        machine.batch(*(f"link set {name} mtu 9100" for name in ends))
    connection = site.connect("--mtu", "9000")
    connection.until("synchronised")
    assert json.loads(site.host.ip("-j", "link", "show", "dev", DEVICE))[0]["mtu"] == 9000
    assert site.reaches(), connection
    large = ("ping", "-n", "-M", "do", "-s", "8900", "-c", "1", "-w", "20", POD)
    site.host.run(*large, timeout=40)
    assert connection.end() == 0, connection


@pytest.mark.parametrize("whose", ["ours", "the interface's"])
def test_an_mtu_that_ends_ipv6_is_refused(site: Site, whose: str) -> None:
    add_tunnel(site.host)
    site.host.ip("link", "set", DEVICE, "up")
    if whose != "ours":
        site.host.ip("address", "add", "fd99::1/64", "dev", DEVICE)
    before = site.traces()
    address = "fd10:5::1/128" if whose == "ours" else ADDRESS
    done = site.kgctl("connect", "laptop", "-a", address, "--mtu", "1279", "--once")
    assert done.code != 0
    assert "an MTU of 1279 is too small for the address fd" in done.stderr
    assert site.traces() == before
    assert site.peers() == []


def test_a_taken_port_is_named(site: Site) -> None:
    add_tunnel(site.host, "other0")
    site.host.run("wg", "set", "other0", "listen-port", "51820")
    site.host.ip("link", "set", "other0", "up")
    done = site.kgctl("connect", "laptop", "-a", ADDRESS, "--once", "--private-key", str(site.key))
    assert done.code == 1
    assert "51820" in done.stderr, done.stderr


def test_an_interface_that_is_no_tunnel_is_left_alone(site: Site) -> None:
    before = site.traces()
    done = site.kgctl("connect", "laptop", "-a", ADDRESS, "--once", "--interface", "uplink")
    assert done.code == 1
    assert "uplink" in done.stderr
    assert "cleaned up" not in done.stdout + done.stderr
    assert site.traces() == before
    assert site.peers() == []
