"""``kgctl connect`` on different hosts: routes, names, families, programs, connections.

``resolvectl`` is a stub: systemd-resolved would be that of the test machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.network import plan, probe, tunnel
from tests.network.commands import environment
from tests.network.connection import kgctl
from tests.network.namespace import ETC_NETNS
from tests.network.site import AT_ONCE, Site, within
from tests.network.stream import Pinging
from tests.network.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster

AMS = ("ams-1", "ams-2")
POD = plan.AMS_1.ipv4.pod
AMS_IPV4 = plan.AMS_1.endpoints["ipv4"].rpartition(":")[0]
FRA_IPV4 = plan.FRA_1.endpoints["ipv4"].rpartition(":")[0]

RESOLVECTL = """#!/bin/sh
# takes what resolvectl(1) takes, and writes it down
set -eu
verb=$1; link=$2; shift 2
ip link show dev "$link" >/dev/null
case $verb in
  dns) for server; do python3 -c 'import ipaddress, sys; ipaddress.ip_address(sys.argv[1])' \\
         "$server"; done ;;
  domain) test $# -gt 0 ;;
  revert) test $# -eq 0 ;;
  *) exit 2 ;;
esac
echo "$verb $link${*:+ $*}" >>"$RESOLVECTL_LOG"
"""


@pytest.fixture
def uplink(cluster: SmallCluster, api_server: ApiServer) -> Iterator[Uplink]:
    with Uplink(cluster["laptop"], api_server.url) as line:
        yield line


@pytest.fixture
def site(cluster: SmallCluster, api_server: ApiServer, uplink: Uplink) -> Site:
    return Site(cluster, api_server, uplink)


@pytest.fixture
def userspace(site: Site) -> Site:
    """The site, with a laptop whose kernel has no WireGuard, whatever this machine's has."""
    site.program = "tests.network.without_wireguard"
    return site


def way(site: Site, address: str) -> str:
    """Return the device by which the laptop sends to an address."""
    words = site.laptop.ip("route", "get", address).split()
    return words[words.index("dev") + 1]


# --- routes ---


@pytest.mark.parametrize("networks", ["0.0.0.0/0", "0.0.0.0/1,128.0.0.0/1"])
def test_all_traffic_may_go_through_the_tunnel(site: Site, networks: str) -> None:
    site.publish(*AMS)
    before = site.traces()
    router = site.laptop.ip("route", "show", "default").split()[2]
    assert probe.seen_as(site.laptop, plan.WEB_IPV4) == plan.OFFICE_IPV4
    with site.joined("--allowed-ips", networks) as connection, Pinging(site.laptop, POD) as pings:
        assert probe.seen_as(site.laptop, plan.WEB_IPV4) == AMS_IPV4
        assert way(site, plan.WEB_IPV4) == "kilo0"
        assert way(site, AMS_IPV4) == "uplink"
        assert way(site, router) == "uplink"  # the office stays the office
        (told,) = connection.said("kept addresses out of the tunnel")
        assert AMS_IPV4 in told["addresses"]

        assert way(site, FRA_IPV4) == "kilo0"
        site.publish("fra-1")  # a node that comes is kept out, too
        within(AT_ONCE, lambda: way(site, FRA_IPV4) == "uplink")
        site.lead(only=("fra-1",))
        assert probe.reaches(site.laptop, plan.FRA_1.ipv4.pod)
        site.withdraw("fra-1")
        within(AT_ONCE, lambda: way(site, FRA_IPV4) == "kilo0")
    assert pings.losses.lost == 0, pings.losses
    assert site.traces() == before
    assert probe.seen_as(site.laptop, plan.WEB_IPV4) == plan.OFFICE_IPV4


def test_a_dry_run_says_what_is_kept_out(site: Site) -> None:
    site.publish(*AMS)
    argv = ("--kubeconfig", str(site.kubeconfig), "connect", "laptop", "-a", site.address)
    lines = kgctl(site.laptop, *argv, "--allowed-ips", "0.0.0.0/0", "--dry-run").stdout.splitlines()
    assert f"# not into the tunnel: {AMS_IPV4} of 128.0.0.0/1, which" in "\n".join(lines)
    assert "ip route add 0.0.0.0/1 via 10.4.0.1 dev kilo0 onlink proto 75 src 10.5.0.1" in lines
    assert not any(f" {AMS_IPV4}/32 " in line for line in lines)


def test_a_route_that_the_host_has_stays_whatever_its_metric(site: Site) -> None:
    site.publish(*AMS, "fra-1")
    router = site.laptop.ip("route", "show", "default").split()[2]
    own = ("10.42.2.0/24", "via", router, "metric", "600")  # as NetworkManager sets them
    site.laptop.ip("route", "add", *own)
    try:
        with site.joined() as connection:
            assert way(site, plan.FRA_1.ipv4.pod) == "uplink"
            (told,) = connection.said("route refused")
            assert told["route"].startswith("10.42.2.0/24")
            assert "another route" in told["reason"]
        assert "10.42.2.0/24" in site.laptop.ip("route")
    finally:
        site.laptop.ip("route", "del", *own)


# --- names and families ---


def test_an_endpoint_s_name_is_resolved_again_until_it_answers(site: Site) -> None:
    hosts = ETC_NETNS / site.laptop.name / "hosts"
    real = hosts.read_text()
    site.annotate("ams-1", endpoint="moving.kilo.example:51820")
    site.publish("ams-2")
    key = site.cluster.keys["ams-1"].public
    try:
        hosts.write_text(f"{real}192.0.2.99 moving.kilo.example\n")
        with site.connect("--resync-period", "1s") as connection:
            connection.until("synchronised")
            site.lead()
            within(AT_ONCE, lambda: tunnel.dump(site.laptop)[key].endpoint == "192.0.2.99:51820")
            hosts.write_text(f"{real}{AMS_IPV4} moving.kilo.example\n")
            within(AT_ONCE, lambda: tunnel.dump(site.laptop)[key].endpoint == f"{AMS_IPV4}:51820")
            assert probe.reaches(site.laptop, POD)
    finally:
        hosts.write_text(real)


def test_a_name_that_cannot_be_resolved_keeps_nobody_waiting(site: Site) -> None:
    site.publish(*AMS)
    with site.joined(), Pinging(site.laptop, POD) as pings:
        site.annotate("fra-1", endpoint="nowhere.kilo.example:51820")
        key = site.cluster.keys["fra-1"].public
        within(AT_ONCE, lambda: key in tunnel.dump(site.laptop))
        assert tunnel.dump(site.laptop)[key].endpoint is None
        why = "fra-1: its endpoint nowhere.kilo.example:51820 cannot be resolved"
        within(AT_ONCE, lambda: why in kgctl(site.laptop, "status").stderr)
    assert pings.losses.lost == 0, pings.losses


def test_ipv6_inside(cluster: SmallCluster, api_server: ApiServer, uplink: Uplink) -> None:
    site = Site(cluster, api_server, uplink, inside="ipv6")
    site.publish(*AMS, "fra-1")
    before = site.traces()
    with site.joined():
        for node in (plan.AMS_1, plan.AMS_2, plan.FRA_1):
            for address in node.ipv6.to_ping:
                assert probe.reaches(site.laptop, address), f"{node.name} at {address}"
        route = site.laptop.ip("-6", "route", "show", str(plan.FRA_1.ipv6.pod_subnet))
        assert "via fd10:4::2 dev kilo0" in route
        assert "onlink" in route
    assert site.traces() == before


# --- programs ---


def test_another_userspace_implementation(userspace: Site) -> None:
    site = userspace
    site.publish(*AMS)
    before = site.traces()
    said = site.laptop.directory / "started"
    # one that goes into the background and, unlike wireguard-go, holds on to its stderr
    program = site.laptop.write(
        "wireguard-other", f'#!/bin/sh\necho "$@" >{said}\nwireguard-go -f "$1" >/dev/null &\n'
    )
    program.chmod(0o700)
    with site.joined(within=("env", f"WG_USERSPACE_IMPLEMENTATION={program}")) as connection:
        assert probe.reaches(site.laptop, POD)
        assert connection.said("started a userspace WireGuard for the interface")
        assert said.read_text() == "kilo0\n"
    assert site.traces() == before


def programs(site: Site) -> dict[int, str]:
    """Return the userspace WireGuards of the laptop, and the states of their processes."""
    pids = site.laptop.run("sh", "-c", "ip netns pids $(ip netns identify $$)").stdout.split()
    argv = ("ps", "-o", "pid=,state=,comm=", "--pid", ",".join(pids))
    shown = site.laptop.run(*argv, check=False).stdout
    lines = [line.split() for line in shown.splitlines()]
    return {int(pid): state for pid, state, name in lines if name.startswith("wireguard")}


@contextlib.contextmanager
def hanging(site: Site) -> Iterator[int]:
    """Stop the laptop's program, which is gone afterwards."""
    (program,) = programs(site)
    os.kill(program, signal.SIGSTOP)
    try:
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(program, signal.SIGKILL)


def test_a_program_that_hangs_is_ended(userspace: Site) -> None:
    site = userspace
    site.publish(*AMS)
    before = site.traces()
    with site.joined() as connection, hanging(site) as program:
        assert connection.end() == 0, connection.describe()
        assert program not in programs(site)
    assert programs(site) == {}
    assert site.traces() == before
    assert site.peers() == []


def test_a_program_that_hangs_is_replaced(userspace: Site) -> None:
    site = userspace
    site.publish(*AMS)
    with site.joined("--resync-period", "2s") as connection:
        with hanging(site) as program:
            connection.until("the interface does not answer, setting it up again")
            connection.until("synchronised", 2)
            assert program not in programs(site)
        assert probe.reaches(site.laptop, POD)
        with hanging(site) as program:
            connection.kill()
            with site.connect() as second:  # which finds what does not answer
                second.until("removing a leftover interface that does not answer")
                second.until("synchronised")
                assert program not in programs(site)
    assert programs(site) == {}


def test_a_userspace_implementation_that_fails_leaves_nothing(userspace: Site) -> None:
    site = userspace
    site.publish(*AMS)
    before = site.traces()
    program = site.laptop.write("broken", "#!/bin/sh\necho 'Error: no tun here' >&2\nexit 1\n")
    program.chmod(0o700)
    with site.connect(within=("env", f"WG_USERSPACE_IMPLEMENTATION={program}")) as connection:
        assert connection.wait() == 1
    assert f"{program} failed to start: Error: no tun here" in connection.errors
    assert site.traces() == before
    assert site.peers() == []


def resolving(site: Site) -> tuple[str, ...]:
    """Have the stand-in for resolvectl on the PATH."""
    programs = site.laptop.directory / "bin"
    programs.mkdir(exist_ok=True)
    program = programs / "resolvectl"
    program.write_text(RESOLVECTL)
    program.chmod(0o755)
    log = site.laptop.directory / "resolved"
    log.write_text("")
    path = f"{programs}{os.pathsep}{environment()['PATH']}"
    return ("env", f"PATH={path}", f"RESOLVECTL_LOG={log}")


def resolved(site: Site) -> list[str]:
    return (site.laptop.directory / "resolved").read_text().splitlines()


def test_names_are_asked_of_the_cluster(site: Site) -> None:
    site.publish(*AMS)
    dns = ("--dns", "10.43.0.10,fd00::10", "--search-domain", "~cluster.local,svc.cluster.local")
    wanted = ["dns kilo0 10.43.0.10 fd00::10", "domain kilo0 ~cluster.local svc.cluster.local"]
    with site.joined(*dns, within=resolving(site)):
        assert resolved(site) == wanted
    assert resolved(site) == wanted  # with the interface all of that is gone


def test_name_resolution_of_an_interface_that_stays_is_undone(site: Site) -> None:
    site.publish(*AMS)
    site.laptop.run("wireguard-go", "kilo0")
    with site.joined("--dns", "10.43.0.10", within=resolving(site)):
        assert resolved(site) == ["dns kilo0 10.43.0.10", "domain kilo0 ~."]
    assert resolved(site)[2:] == ["revert kilo0"]


def test_without_resolvectl_nothing_is_created(site: Site) -> None:
    site.publish(*AMS)
    before = site.traces()
    bare = ("env", f"PATH={site.laptop.directory}")
    with site.connect("--dns", "10.43.0.10", within=bare) as connection:
        assert connection.wait() == 1
    assert "resolvectl" in connection.errors
    assert connection.said("created peer") == []
    assert site.traces() == before


# --- whom it talks to ---


def test_a_log_that_nobody_reads_any_more_ends_no_tunnel(site: Site) -> None:
    site.publish(*AMS)
    before = site.traces()
    file = site.laptop.write("laptop.key", f"{site.cluster.keys['laptop'].private}\n")
    argv = (sys.executable, "-m", "kgctl", "--kubeconfig", str(site.kubeconfig), "connect")
    options = ("laptop", "-a", site.address, "--private-key", str(file))
    with subprocess.Popen(
        site.laptop.entered(*argv, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environment(), "RUNTIME_DIRECTORY": str(site.laptop.directory)},
    ) as process:
        assert process.stdout is not None
        assert b"created peer" in process.stdout.readline()
        process.stdout.close()  # as `| head -1` does
        within(AT_ONCE, lambda: "10.42.0.0/24" in site.laptop.ip("route"))
        site.lead()
        assert probe.reaches(site.laptop, POD)
        site.publish("fra-1")
        within(AT_ONCE, lambda: len(tunnel.dump(site.laptop)) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert site.traces() == before
    assert site.peers() == []


def test_a_terminal_that_goes_away_ends_it_in_good_order(site: Site) -> None:
    site.publish(*AMS)
    before = site.traces()
    ours = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup(1) may run the tests
    try:
        with site.joined() as connection:
            assert connection.end(signal.SIGHUP) == 0, connection.describe()
    finally:
        signal.signal(signal.SIGHUP, ours)
    assert site.traces() == before
    assert site.peers() == []


def test_it_can_be_interrupted_while_the_api_server_says_nothing(site: Site) -> None:
    site.publish(*AMS)
    before = site.traces()
    site.uplink.stall()
    with site.connect() as connection:
        within(40.0, lambda: site.uplink.connections > 0)
        assert connection.end(signal.SIGINT, within=20) == 130  # a request may take 30 s
    site.uplink.mend()
    assert site.traces() == before
    assert site.peers() == []


READ_ONLY = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -o remount,bind,ro /
exec env -u RUNTIME_DIRECTORY -u XDG_RUNTIME_DIR "$@"
"""


def test_a_read_only_root_with_nothing_but_run_is_enough(site: Site) -> None:
    """As in a container with --read-only: there is no temporary directory either."""
    site.publish(*AMS)
    before = site.traces()
    inside = ("unshare", "--mount", "sh", "-euc", READ_ONLY, "sh")
    with site.connect(within=inside) as connection:
        connection.until("synchronised")
        site.lead()
        assert probe.reaches(site.laptop, POD)
        refused = ["nsenter", "-t", str(connection.pid), "-m", "touch", "/tmp/x", "/var/tmp/x"]
        touched = subprocess.run(refused, capture_output=True, text=True, check=False)
        assert touched.stderr.count("Read-only file system") == 2
        shown = ["nsenter", "-t", str(connection.pid), "-m", "ls", "/run/kgctl"]
        names = subprocess.run(shown, capture_output=True, text=True, check=True).stdout.split()
        assert [name.rpartition(".")[2] for name in names] == ["json", "lock"]
        assert connection.end() == 0, connection.describe()
    assert site.traces() == before
    assert site.peers() == []
