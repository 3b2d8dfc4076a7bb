"""Files for external machines, read back by their own tools where available."""

from __future__ import annotations

import configparser
import json
import os
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.files.atomic import OutputFileError, write_private
from kgctl.wireguard.formats import MACHINE_FORMATS, WHOLE_FILES
from kgctl.wireguard.keys import PrivateKey, write_key
from tests.support import several
from tests.support.recorded import CLUSTERS, kgctl, load
from tests.support.strict import assert_strict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLE = ("--example", "showconf", "peer")
SIZES = {"networkd": 2, "nmconnection": 1, "wg-quick": 1, "qr": 1}


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "laptop.key"
    write_key(path, PrivateKey.generate())
    return str(path)


@pytest.mark.needs("wg-quick")
@pytest.mark.parametrize(
    "options", [(), ("--gateway", "aws-1", "--dns", "10.43.0.10", "--search-domain", "a.b")]
)
def test_wg_quick_reads_its_file(options: tuple[str, ...], key: str, tmp_path: Path) -> None:
    answer = kgctl(*EXAMPLE, "laptop", "-o", "wg-quick", "--private-key", key, *options)
    assert_strict(answer.stdout)
    path = tmp_path / "kilo.conf"
    write_private(path, answer.stdout.encode())
    stripped = subprocess.run(
        ["wg-quick", "strip", str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert "Address" not in stripped
    assert stripped.count("[Peer]") == 7


def test_networkd_gets_two_files(key: str) -> None:
    text = kgctl(*EXAMPLE, "laptop", "-o", "networkd", "--private-key", key, "--mtu", "1400",
                 "--dns", "10.43.0.10", "--search-domain", "svc.local").stdout  # fmt: skip
    head, netdev, network = text.partition("# /etc/systemd/network/kilo0.network\n")
    assert head.startswith("# /etc/systemd/network/kilo0.netdev\n[NetDev]\nName=kilo0\n")
    assert netdev
    assert head.count("[WireGuardPeer]") == 7
    assert "RouteTable=main" in head
    assert "MTUBytes=1400" in head
    assert network.startswith("[Match]\nName=kilo0\n\n[Network]\nAddress=10.5.0.1/32\n")
    assert "DNS=10.43.0.10\nDomains=svc.local\n" in network


def test_networkd_keeps_the_tunnels_own_packets_out_of_it(key: str) -> None:
    text = kgctl(*EXAMPLE, "laptop", "-o", "networkd", "--private-key", key,
                 "--gateway", "aws-1").stdout  # fmt: skip
    assert "FirewallMark=51820\nRouteTable=51820" in text
    assert "FirewallMark=51820\nInvertRule=true\nTable=51820" in text


def _keyfile(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def test_a_keyfile_says_the_same_and_replaces_the_one_before(key: str) -> None:
    text = kgctl(*EXAMPLE, "laptop", "-o", "nmconnection", "--private-key", key,
                 "--dns", "1.1.1.1,fd00::53", "--search-domain", "a.b",
                 "--table", "77").stdout  # fmt: skip
    keyfile = _keyfile(text)
    assert keyfile["connection"]["type"] == "wireguard"
    assert keyfile["ipv4"]["address1"] == "10.5.0.1/32"
    assert keyfile["ipv4"]["dns"] == "1.1.1.1;"
    assert keyfile["ipv6"]["dns"] == "fd00::53;"
    assert keyfile["ipv6"]["route-table"] == "77"
    assert sum(section.startswith("wireguard-peer.") for section in keyfile) == 7
    other = _keyfile(kgctl(*EXAMPLE, "laptop", "-o", "nmconnection", "--only", "home").stdout)
    assert other["connection"]["uuid"] == keyfile["connection"]["uuid"]
    phone = _keyfile(kgctl(*EXAMPLE, "phone", "-o", "nmconnection").stdout)
    assert phone["connection"]["uuid"] != keyfile["connection"]["uuid"]


def test_network_manager_can_make_a_link_local_address() -> None:
    """It can make none of a WireGuard interface's hardware address, and gives up IPv6 then."""
    for name, method in (("laptop", "manual"), ("office", "link-local")):
        asked = (*EXAMPLE, name, "-o", "nmconnection", "--gateway", "fsn1-1")
        keyfile = _keyfile(kgctl(*asked).stdout)
        assert keyfile["ipv6"]["method"] == method
        assert keyfile["ipv6"]["addr-gen-mode"] == "stable-privacy"


def test_network_manager_keeps_ipv6_if_peers_have_networks_of_it() -> None:
    """Also without an address: all traffic of ``--gateway`` is IPv6 too, and has to go there."""
    asked = (*EXAMPLE, "office", "-o", "nmconnection")
    everything = _keyfile(kgctl(*asked, "--gateway", "fsn1-1", "--table", "77").stdout)["ipv6"]
    assert (everything["method"], everything["route-table"]) == ("link-local", "77")
    for options in (("--only", "home"), ("--gateway", "fsn1-1", "--table", "off")):
        assert dict(_keyfile(kgctl(*asked, *options).stdout)["ipv6"]) == {"method": "disabled"}


def test_a_code_is_lines_on_a_terminal_and_a_picture_in_a_file(key: str, tmp_path: Path) -> None:
    code = (*EXAMPLE, "laptop", "-o", "qr", "--private-key", key)
    shown = kgctl(*code, "--only", "home").stdout
    assert len({len(line) for line in shown.splitlines() if line}) == 1
    assert "█" in shown
    for kind, magic in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        path = tmp_path / f"laptop.{kind}"
        assert kgctl(*code, "-O", str(path)).code == 0
        assert path.read_bytes().startswith(magic)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kgctl(*code, "-O", str(tmp_path / "x.gif")).code == 1
    assert "phones refuse it" in kgctl(*EXAMPLE, "laptop", "-o", "qr").stderr


def _copy(node: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a node of another name and key: of one key all but one would be left out."""
    metadata = node["metadata"]
    name = f"{metadata['name']}-{number}"
    annotations = {**metadata["annotations"], "kilo.squat.ai/key": several.key(name)}
    return {**node, "metadata": {**metadata, "name": name, "annotations": annotations}}


def test_what_does_not_fit_into_a_code_says_what_to_leave_out(tmp_path: Path) -> None:
    recording = max(CLUSTERS, key=lambda path: len(load(path)[0]["items"]))
    cluster = load(recording)[0]
    nodes = [item for item in cluster["items"] if item["kind"] == "Node"]
    many = [_copy(node, copy) for node in nodes for copy in range(3)]
    peers = [item for item in cluster["items"] if item["kind"] == "Peer"]
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*many, *peers]}))
    name = peers[0]["metadata"]["name"]
    answer = kgctl("-f", str(path), "showconf", "peer", name, "-o", "qr",
                   "--mesh-granularity", "full")  # fmt: skip
    assert answer.code == 1
    assert answer.stdout == ""
    assert "a QR code holds 2,953; leave some segments and peers out with --only" in answer.stderr


def test_all_of_them_come_into_a_directory_and_are_touched_only_when_they_change(
    tmp_path: Path,
) -> None:
    everyone = (*EXAMPLE, "--all", "-d", str(tmp_path), "-o", "wg-quick")
    assert kgctl(*everyone).code == 0
    files = {path.name: path.stat() for path in tmp_path.iterdir()}
    assert sorted(files) == ["laptop.conf", "office.conf", "phone.conf"]
    assert all(stat.S_IMODE(one.st_mode) == 0o600 for one in files.values())
    assert "unchanged:" in kgctl(*everyone).stderr
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == {
        name: one.st_mtime_ns for name, one in files.items()
    }
    assert kgctl("--example", "showconf", "node", "--all", "-d", str(tmp_path)).code == 0
    leaders = [path.stem for path in tmp_path.iterdir() if f"{path.name}" not in files]
    assert sorted(leaders) == ["aws-1", "edge-1", "fsn1-1", "gcp-1", "home-nas"]
    for leader in leaders:
        expected = kgctl("--example", "showconf", "node", leader).stdout
        assert (tmp_path / f"{leader}.conf").read_text() == expected


@pytest.mark.parametrize("granularity", ["location", "full"])
@pytest.mark.parametrize("recording", CLUSTERS, ids=lambda path: path.stem)
def test_all_leaders_at_once_get_what_each_gets_alone(
    recording: Path, granularity: str, tmp_path: Path
) -> None:
    cluster, out = tmp_path / "cluster.json", tmp_path / "out"
    objects = load(recording)[0]
    cluster.write_text(json.dumps(objects))
    out.mkdir()
    options = ("-f", str(cluster), "--mesh-granularity", granularity, "showconf", "node")
    code = kgctl(*options, "--all", "-d", str(out)).code
    names = [item["metadata"]["name"] for item in objects["items"] if item["kind"] == "Node"]
    alone = {name: kgctl(*options, name).stdout for name in names}
    written = {path.stem: path.read_text() for path in out.iterdir()}
    assert written == {name: text for name, text in alone.items() if text}
    assert (code == 0) is bool(written)


def test_a_name_cannot_lead_out_of_the_directory(tmp_path: Path) -> None:
    cluster = load(CLUSTERS[0])[0]
    next(i for i in cluster["items"] if i["kind"] == "Peer")["metadata"]["name"] = "../escaped"
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps(cluster))
    out = tmp_path / "out"
    out.mkdir()
    answer = kgctl("-f", str(path), "showconf", "peer", "--all", "-d", str(out))
    assert answer.code == 1
    assert '"../escaped" is not a valid file name' in answer.stderr
    assert list(out.iterdir()) == []
    assert not list(tmp_path.glob("escaped*"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "give a NAME, or --all with --directory DIR"),
        (("--all",), "--all takes no NAME, and writes into --directory DIR"),
        (("laptop", "--as-peer", "-o", "qr"), "-o qr is a whole file"),
        (("laptop", "-O", "x.png", "-o", "wg-quick"), "--output-file is for one QR code"),
        (("laptop", "--watch", "x", "-o", "networkd"), "--watch keeps one file of one peer"),
        (
            ("laptop", "--interface", "a/b", "-o", "networkd"),
            '--interface "a/b" is not an interface',
        ),
        (("laptop", "--via", "aws-1", "-o", "wg-quick"), "--via names the node"),
        (("laptop", "--table", "x", "-o", "wg-quick"), '--table "x" is not off, auto'),
        (("laptop", "--dns", "dns.example", "-o", "wg-quick"), "is not an IP address"),
        (("laptop", "--search-domain", "a b", "-o", "wg-quick"), "is not a domain name"),
        (("laptop", "--gateway", "aws1", "-o", "wg-quick"), 'did you mean "aws-1"?'),
    ],
)
def test_options_that_do_not_go_together(options: tuple[str, ...], complaint: str) -> None:
    answer = kgctl(*EXAMPLE, *options)
    assert answer.code == 1
    assert answer.stdout == ""
    assert complaint in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "carrier"),
    [
        ((), "location:eu-west-1"),  # the first with a public endpoint
        (("--only", "fsn1"), "location:fsn1"),  # a DNS name alone
        (("--only", "fsn1,gcp-1"), "location:europe-west3"),  # a public address before a DNS name
        (("--only", "home"), "location:home"),
        (("--only", "fsn1", "--via", "gcp-1"), "location:europe-west3"),
        (("--only", "office", "--gateway", "edge-1"), "node:edge-1"),
    ],
)
def test_services_are_in_the_file_whatever_it_is_limited_to(
    options: tuple[str, ...], carrier: str
) -> None:
    text = kgctl(*EXAMPLE, "laptop", "-o", "wg-quick", "--service-cidr", "10.43.0.0/16",
                 *options).stdout  # fmt: skip
    carriers = [section for section in text.split("[Peer]") if "10.43.0.0/16\nEnd" in section
                or "10.43.0.0/16, 0.0.0.0/0" in section]  # fmt: skip
    assert len(carriers) == 1
    assert carriers[0].startswith(f"\n# {carrier}, ")


def test_services_without_a_segment_to_carry_them_are_an_error() -> None:
    done = kgctl(*EXAMPLE, "laptop", "-o", "wg-quick", "--service-cidr", "10.43.0.0/16",
                 "--only", "office")  # fmt: skip
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.startswith("no segment is left to carry the services (10.43.0.0/16)")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("form", ["wg-quick", "networkd", "nmconnection"])
def test_a_peer_with_an_endpoint_listens_on_its_port(form: str) -> None:
    port = {"wg-quick": "ListenPort = ", "networkd": "ListenPort=", "nmconnection": "listen-port="}
    office = kgctl(*EXAMPLE, "office", "-o", form)
    assert f"\n{port[form]}51820\n" in office.stdout
    other = kgctl(*EXAMPLE, "office", "-o", form, "--listen-port", "41000")
    assert f"\n{port[form]}41000\n" in other.stdout
    # the laptop has none; where others see it is its router's port, not its own
    assert port[form] not in kgctl(*EXAMPLE, "laptop", "-o", form).stdout


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    assert write_private(path, b"one")
    assert not write_private(path, b"one")
    assert write_private(path, b"two")
    assert [one.name for one in tmp_path.iterdir()] == ["a.conf"]
    with pytest.raises(OutputFileError):
        write_private(tmp_path / "missing" / "a.conf", b"x")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, Path]]:
    """A cluster in a file, and kgctl that keeps a peer's file up to date with it."""
    cluster, out = tmp_path / "cluster.json", tmp_path / "kilo.conf"
    cluster.write_text(json.dumps(load(CLUSTERS[0])[0]))
    argv = [sys.executable, "-m", "kgctl", "-f", str(cluster), "showconf", "peer", "peer1",
            "-o", "wg-quick", "--watch", str(out), "--interval", "1"]  # fmt: skip
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        yield process, cluster, out
        if process.poll() is None:
            process.kill()


def _until(path: Path, text: str) -> None:
    deadline = time.monotonic() + 20
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text!r} does not come into {path}"
        time.sleep(0.05)


def test_a_watched_file_follows_the_cluster_and_outlives_its_absence(
    watched: tuple[subprocess.Popen[str], Path, Path],
) -> None:
    process, cluster, out = watched
    _until(out, "52.60.0.2:51820")
    first = cluster.read_text()
    cluster.write_text("{")  # the cluster is away
    time.sleep(2.5)
    assert "52.60.0.2:51820" in out.read_text()
    changed = cluster.with_suffix(".new")
    changed.write_text(first.replace("52.60.0.2:51820", "52.60.0.9:51820"))
    os.replace(changed, cluster)  # noqa: PTH105
    _until(out, "52.60.0.9:51820")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    # the signal may come between a file and the line about it
    assert said.count("wrote") in {1, 2}
    assert "stays as it is" in said


@pytest.mark.parametrize("form", [one.name for one in MACHINE_FORMATS])
def test_a_peer_whose_keepalive_wireguard_cannot_hold_gets_no_file(
    form: str, key: str, tmp_path: Path
) -> None:
    objects = [
        several.node("a", 1, 1, "a", persistent_keepalive="70000"),
        several.node("b", 1, 2, "b"),
        several.peer("laptop", "10.5.0.1/32", persistentKeepalive=65536),
    ]
    file = several.write(tmp_path / "cluster.yaml", objects)
    asked = ("-f", str(file), "--at", several.NOW, "showconf")

    secret = ("--private-key", key) if form == "qr" else ()
    answer = kgctl(*asked, "peer", "laptop", "-o", form, *secret)
    assert (answer.code, answer.stdout) == (1, "")
    assert 'persistentKeepalive "65536" is more than WireGuard\'s 65535 seconds' in answer.stderr

    own = kgctl(*asked, "node", "a")
    assert own.code == 0
    assert "PersistentKeepalive = 0\n" in own.stdout
    assert several.key("peer laptop") not in own.stdout


@pytest.mark.parametrize("form", [one.name for one in WHOLE_FILES])
def test_an_mtu_that_ends_ipv6_is_refused(form: str, key: str) -> None:
    asked = (*EXAMPLE, "laptop", "-o", form, "--private-key", key, "--mtu")
    assert kgctl(*asked, "1280").code == 0
    answer = kgctl(*asked, "1279")
    assert answer.code != 0
    assert answer.stdout == ""
    assert "an MTU of 1279 is too small for the address fd5a:" in answer.stderr
    assert "give at least 1280 with --mtu" in answer.stderr
    assert kgctl(*EXAMPLE, "office", "-o", form, "--private-key", key, "--mtu", "1000").code == 0
