"""A machine's file for several clusters: no network twice, each through its cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.cidr import parse_cidr
from kgctl.wireguard.formats import MACHINE_FORMATS
from kgctl.wireguard.parse import parse_configuration
from kgctl.wireguard.quick import QuickSettings
from kgctl.wireguard.quickjoined import JoinError, Joining, joined_file, joined_sections
from tests.support.recorded import kgctl
from tests.support.several import Object, east, key, members, node, options, peer, west, with_links

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.mesh.cidr import Cidr
    from kgctl.wireguard.conf import Configuration

FORMATS = tuple(one.name for one in MACHINE_FORMATS)


def joined(found: dict[str, list[Object]], *, plain: bool = False) -> Configuration:
    linked = members(found)
    settings = QuickSettings()
    joinings = []
    for one in linked.members:
        own = one.topology.peer("laptop")
        assert own is not None
        joinings.append(Joining(one.name, own, settings))
    if plain:
        return joined_sections(linked, joinings)[1]
    return joined_file(linked, joinings, settings)[1]


def sections(configuration: Configuration) -> dict[str, list[str]]:
    return {
        str(section.public_key): [str(network) for network in section.allowed_ips]
        for section in configuration.peers
    }


def pair() -> dict[str, list[Object]]:
    return {"west": west(), "east": east()}


def test_one_file_has_the_segments_of_both() -> None:
    found = sections(joined(pair()))
    assert set(found) == {key("1 w1"), key("1 w3"), key("2 e1"), key("peer printer")}
    assert "10.2.2.0/24" in found[key("2 e1")]
    assert sections(joined(pair(), plain=True)) == found


def test_links_change_nothing_each_network_is_reached_through_its_own_cluster() -> None:
    assert joined(with_links(pair())) == joined(pair())
    assert joined(with_links(pair()), plain=True) == joined(pair(), plain=True)


def test_what_a_link_carries_besides_its_segment_goes_to_that_segment() -> None:
    clusters = with_links(pair())
    link = next(one for one in clusters["west"] if one["metadata"]["name"] == "link-east.asia")
    link["spec"]["allowedIPs"].append("10.44.0.0/16")
    assert "10.44.0.0/16" in sections(joined(clusters))[key("2 e1")]


def test_addresses_are_those_of_both() -> None:
    clusters = pair()
    clusters["east"][-1] = peer("laptop", "10.6.0.1/32")
    interface = joined(clusters).interface
    assert interface is not None
    assert list(map(str, interface.addresses)) == ["10.5.0.1/32", "10.6.0.1/32"]


def test_each_cluster_has_its_own_preshared_key_and_keepalive() -> None:
    clusters = pair()
    ours = {"west": key("psk west"), "east": key("psk east")}
    for seconds, (name, own) in enumerate(clusters.items(), start=20):
        found = next(one for one in own if one["metadata"]["name"] == "laptop")
        found["spec"] |= {"presharedKey": ours[name], "persistentKeepalive": seconds}
    by_key = {str(one.public_key): one for one in joined(clusters).peers}
    for owner, name, seconds in (("1 w1", "west", 20), ("1 w3", "west", 20), ("2 e1", "east", 21)):
        section = by_key[key(owner)]
        assert section.preshared_key is not None
        assert (section.preshared_key.reveal(), section.persistent_keepalive) == (
            ours[name], seconds,
        )  # fmt: skip
    assert by_key[key("peer printer")].preshared_key is None


def test_another_peer_that_both_know_has_one_section() -> None:
    clusters = pair()
    clusters["east"].append(peer("printer", "10.5.1.1/32", "10.6.1.1/32"))
    assert sections(joined(clusters))[key("peer printer")] == ["10.5.1.1/32", "10.6.1.1/32"]


@pytest.mark.parametrize("plain", [False, True])
def test_a_leader_with_the_key_of_another_clusters_is_left_out(plain: bool) -> None:
    """Were the two one section, what is for east would go to an endpoint of west."""
    clusters = pair()
    for one in clusters["east"]:
        if one["metadata"]["name"] == "e1":
            one["metadata"]["annotations"]["kilo.squat.ai/key"] = key("1 w1")
    configuration = joined(clusters, plain=plain)
    found = sections(configuration)
    assert set(found) == {key("1 w1"), key("1 w3"), key("peer printer")}
    assert not [one for own in found.values() for one in own if one.startswith("10.2.")]
    if not plain:
        section = next(one for one in configuration.peers if str(one.public_key) == key("1 w1"))
        assert any(
            one.startswith("refused: node east/e1 claims 10.2.")
            and one.endswith(": west has the same public key in a leader, and keeps it")
            for one in section.comments
        )


def test_two_keys_do_not_go_into_one_file() -> None:
    clusters = pair()
    clusters["east"][-1] = peer("laptop", "10.5.0.1/32", publicKey=key("another"))
    with pytest.raises(JoinError, match=r"public key .* in west and .* in east: a file has one"):
        joined(clusters)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (node("e3", 1, 1, "asia"), r"10\.1\.1\.0/24 of .* lies in 10\.1\.1\.0/24 of"),
        (peer("tv", "10.1.0.0/16"), r"10\.1\.1\.0/24 of west: location:eu, led by w1 lies in "
                                    r"10\.1\.0\.0/16 of east: peer tv"),
        (peer("tv", "10.5.1.1/32"), r"10\.5\.1\.1/32 of (west: peer printer|east: peer tv)"),
    ],
    ids=["pod subnet", "wider", "peer"],
)  # fmt: skip
def test_networks_that_overlap_are_refused_with_which_and_whose(other: Object, said: str) -> None:
    clusters = pair()
    clusters["east"].append(other)
    with pytest.raises(JoinError, match=said):
        joined(clusters)


def test_an_address_of_the_machine_that_another_has_elsewhere_is_refused() -> None:
    clusters = pair()
    clusters["east"][-1:] = [peer("laptop", "10.6.0.1/32"), peer("tv", "10.5.0.1/32")]
    with pytest.raises(JoinError, match=r"10\.5\.0\.1/32"):
        joined(clusters)


# --- what can be drawn ---

NUMBERS = st.integers(1, 4)
POOL = st.sampled_from(
    ["10.5.1.1/32", "10.5.1.0/24", "10.5.1.9/24", "10.5.0.1/32", "10.6.0.0/16", "10.1.1.7/32",
     "203.0.113.0/24", "fd00::1/128", "192.168.1.0/24"]
)  # fmt: skip


@st.composite
def several(draw: st.DrawFn) -> dict[str, list[Object]]:
    clusters = {}
    for number in range(1, draw(st.integers(2, 3)) + 1):
        name = f"c{number}"
        own = [
            node(f"{name}-{one}", number, one, draw(st.sampled_from(["eu", "us"])))
            for one in range(1, draw(NUMBERS) + 1)
        ]
        own.append(peer("laptop", *draw(st.lists(POOL, min_size=1, max_size=2, unique=True))))
        own += [
            peer(f"p{one}", *draw(st.lists(POOL, min_size=1, max_size=3, unique=True)))
            for one in range(draw(st.integers(0, 2)))
        ]
        clusters[name] = own
    return with_links(clusters) if draw(st.booleans()) else clusters


def _claims(configuration: Configuration) -> list[Cidr]:
    return [network.masked() for section in configuration.peers for network in section.allowed_ips]


@given(clusters=several(), plain=st.booleans())
def test_no_network_is_claimed_twice_and_no_key(
    clusters: dict[str, list[Object]], plain: bool
) -> None:
    try:
        configuration = joined(clusters, plain=plain)
    except JoinError:
        return
    claims = _claims(configuration)
    assert len(claims) == len(set(claims))
    keys = [section.public_key for section in configuration.peers]
    assert len(keys) == len(set(keys))
    assert parse_configuration(str(configuration)).peers


@given(clusters=several())
def test_every_pod_is_reached_through_its_own_cluster(clusters: dict[str, list[Object]]) -> None:
    try:
        configuration = joined(clusters)
    except JoinError:
        return
    by_key = {str(one.public_key): one for one in configuration.peers}
    for number, own in enumerate(clusters.values(), start=1):
        for one in (one for one in own if one["kind"] == "Node"):
            subnet = parse_cidr(one["spec"]["podCIDR"])
            assert subnet is not None
            holders = [
                section for section in by_key.values()
                if any(network.contains(subnet.address) for network in section.allowed_ips)
            ]  # fmt: skip
            assert holders
            comment = max(
                holders,
                key=lambda section: max(
                    network.prefix
                    for network in section.allowed_ips
                    if network.contains(subnet.address)
                ),
            ).comments[0]
            assert comment.startswith(f"c{number}: ")


# --- the command ---


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_is_one_file_of_both(tmp_path: Path, format_: str) -> None:
    both = options(tmp_path, with_links(pair()))
    answer = kgctl(*both, "showconf", "peer", "laptop", "-o", format_)
    assert answer.code == 0, answer.stderr
    if format_ != "qr":
        for owner in ("1 w1", "1 w3", "2 e1"):
            assert answer.stdout.count(key(owner)) == 1
    kgctl(*both, "showconf", "peer", "laptop", "-o", format_, "-d", str(tmp_path))
    written = [path for path in tmp_path.iterdir() if path.name.startswith("laptop")]
    assert len(written) == (2 if format_ == "networkd" else 1)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in written)
    if format_ in ("wg-quick", "nmconnection"):
        done = kgctl(*both[:4], "drift", "laptop", "--dump", str(written[0]))
        assert (done.code, done.stdout) == (2, "")
        assert "joins several clusters (--cluster " in done.stderr


def test_a_peer_that_is_missing_in_one_is_told_of_that_one(tmp_path: Path) -> None:
    both = options(tmp_path, pair())
    answer = kgctl(*both, "showconf", "peer", "printer")
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr.endswith('east: did not find any peer named "printer" in the cluster\n')


def test_services_the_gateway_and_what_only_names_are_of_one_cluster(tmp_path: Path) -> None:
    both = options(tmp_path, pair())
    quick = ("showconf", "peer", "laptop", "-o", "wg-quick")
    services = kgctl(*both, *quick, "--service-cidr", "east=10.44.0.0/16", "--gateway", "west/w3")
    found = sections(parse_configuration(services.stdout))
    assert "10.44.0.0/16" in found[key("2 e1")]
    assert "0.0.0.0/0" in found[key("1 w3")]
    only = sections(parse_configuration(kgctl(*both, *quick, "--only", "eu").stdout))
    assert list(only) == [key("1 w1")]
    wrong = kgctl(*both, *quick, "--service-cidr", "10.44.0.0/16")
    assert wrong.stderr.startswith('--service-cidr "10.44.0.0/16" names no cluster')
    nowhere = kgctl(*both, *quick, "--gateway", "w9")
    assert nowhere.stderr == '--gateway "w9" is in no segment of any of the clusters\n'


def test_only_takes_an_overlap_out(tmp_path: Path) -> None:
    clusters = pair()
    clusters["east"].append(peer("tv", "10.5.1.1/32"))
    both = options(tmp_path, clusters)
    refused = kgctl(*both, "showconf", "peer", "laptop", "-o", "wg-quick")
    assert refused.code == 1
    assert "--only" in refused.stderr
    taken = kgctl(*both, "showconf", "peer", "laptop", "-o", "wg-quick", "--only", "eu,us,asia")
    assert taken.code == 0, taken.stderr


@pytest.mark.parametrize(
    "option", [["--as-peer"], ["--watch", "f"], ["--allowed-ips", "10.9.0.0/24"]]
)
def test_what_makes_no_sense_of_several_is_refused(tmp_path: Path, option: list[str]) -> None:
    answer = kgctl(*options(tmp_path, pair()), "showconf", "peer", "laptop", *option)
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("with several clusters, showconf makes one file")
    assert json.dumps(answer.stderr).count("\\n") == 1
