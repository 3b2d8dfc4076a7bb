"""Misplaced locations: each kind is found, and sound ones are not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kgctl.diagnosis.rules.grouping import fit
from kgctl.diagnosis.sites import skeleton, slips
from kgctl.mesh.node import Platform
from tests.diagnosis.cluster import PREFIX, codes, discovered, findings, node, of

if TYPE_CHECKING:
    from kgctl.kube.objects import NodeObject

ALIKE = [
    ("eu-west", "EU-West"),
    ("eu-west", "eu_west"),
    ("eu-west", "eu west"),
    ("eu-west-1", "eu-west1"),
    ("eu-west-1", "euwest1"),
    ("masters", "mаsters"),  # noqa: RUF001 - a Cyrillic a
    ("masters", "ｍasters"),  # noqa: RUF001 - a wide m
    ("masters", "mas\u200bters"),
    ("zürich", "Zurich"),
    ("straße", "STRASSE"),
]
DIFFERENT = [
    ("zone-a", "zone-b"),
    ("rack-1-11", "rack-11-1"),
    ("site1", "site11"),
    ("site1", "site2"),
    ("eu-west-1", "eu-west-2"),
    ("home", "cloud"),
    ("a", "aa"),
]
SLIPS = [("masters", "master"), ("frankfurt", "frankfrut"), ("office", "offfice")]


def two(one: str, other: str, network: str = "10.1.0") -> list[NodeObject]:
    """Two nodes of one location, and one of the other; all in one network unless told otherwise."""
    return [
        node("n1", 1, location=one, internal_ip="10.1.0.1/24"),
        node("n2", 2, location=one, internal_ip="10.1.0.2/24"),
        node("n3", 3, location=other, internal_ip=f"{network}.3/24"),
    ]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_two_spellings(one: str, other: str) -> None:
    (found,) = of("KG312", findings(two(one, other, "10.2.0")))
    assert found.name == f"location:{other}"
    assert "kubectl annotate node n3 " in found.remedy


@pytest.mark.parametrize(("one", "other"), [*DIFFERENT, *SLIPS])
def test_locations_that_differ(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)
    assert codes(findings(two(one, other, "10.2.0"))) == []


@pytest.mark.parametrize(("one", "other"), SLIPS)
def test_a_slip_counts_within_one_network(one: str, other: str) -> None:
    (found,) = of("KG312", findings(two(one, other)))
    assert found.name == f"location:{other}"


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_is_no_slip(one: str, other: str) -> None:
    assert list(slips([one, other])) == []
    assert of("KG312", findings(two(one, other))) == []


def test_white_space_around_a_location_is_found_once() -> None:
    assert codes(findings(two("ams", "ams ", "10.2.0"))) == ["KG102"]


def test_spelling_does_not_matter_where_locations_do_not() -> None:
    nodes = two("ams", "AMS")
    full = [one._replace(annotations={**one.annotations, PREFIX + "granularity": "full"})
            for one in nodes]  # fmt: skip
    assert codes(findings(full)) == []


@given(st.lists(st.text(max_size=80), max_size=8))
@example(["\U0001d790", "\u03d2\u0301"])  # letters of mathematics: capitals come back
def test_names_of_any_kind_are_compared(names: list[str]) -> None:
    for name in names:
        assert skeleton(skeleton(name)) == skeleton(name)
    for one, other in slips(names):
        assert one in names
        assert other in names
        assert skeleton(one) != skeleton(other)


def test_many_hostile_names_are_compared_in_no_time() -> None:
    names = [f"{'x' * 60}{chr(0x4E00 + number)}" for number in range(5000)]
    started = time.process_time()
    assert list(slips(names)) == []
    assert time.process_time() - started < 20


CAUSES = [
    ({"force_internal_ip": "-"}, "which means none", f"n2 {PREFIX}force-internal-ip-"),
    ({"force_internal_ip": ""}, "which means none", f"n2 {PREFIX}force-internal-ip-"),
    ({"internal_ip": ""}, "found no private address", "force-internal-ip=ADDRESS/PREFIX"),
    ({"internal_ip": None}, "has written none", "force-internal-ip=ADDRESS/PREFIX"),
    ({"internal_ip": "10.0.0.1"}, '"10.0.0.1" does not parse', "=ADDRESS/PREFIX"),
    (
        {"internal_ip": "", "force_internal_ip": "eth0"},
        '"eth0" does not parse',
        "force-internal-ip=ADDRESS/PREFIX",
    ),
    (
        {"internal_ip": "", "endpoint": "192.168.7.2:51820"},
        "found no private address",
        "force-internal-ip=192.168.7.2/32",
    ),
]


@pytest.mark.parametrize(("texts", "cause", "remedy"), CAUSES)
def test_why_a_location_is_split_up(texts: dict[str, Any], cause: str, remedy: str) -> None:
    nodes = [node("n1", 1, location="x"), node("n2", 2, **{"location": "x", **texts})]
    (found,) = of("KG313", findings(nodes))
    assert (found.name, cause in found.sentence) == ("location:x", True)
    assert remedy in found.remedy


def test_two_causes_are_two_findings() -> None:
    texts: list[dict[str, Any]] = [{}, {"force_internal_ip": "-"}, {"internal_ip": ""}]
    nodes = [node(f"n{n}", n, location="x", **one) for n, one in enumerate(texts, 1)]
    assert len(of("KG313", findings(nodes))) == 2


def test_public_addresses_alone_in_a_region_of_a_cloud_are_sound() -> None:
    region = {"topology.kubernetes.io/region": "fsn1"}
    nodes = [node(f"n{n}", n, labels=region, internal_ip="") for n in (1, 2, 3)]
    assert codes(findings(nodes)) == []
    assert codes(findings([nodes[0], node("n5", 5, labels=region)])) == ["KG313"]
    named = [node(f"n{n}", n, location="fsn1", internal_ip="") for n in (1, 2, 3)]
    assert codes(findings(named)) == ["KG313"]


def test_a_node_without_a_location_in_the_network_of_one() -> None:
    hub = [node("n1", 1, location="hub", internal_ip="10.1.0.1/24"),
           node("n2", 2, location="hub", internal_ip="10.1.0.2/24")]  # fmt: skip

    def without(**texts: Any) -> list[str]:
        return codes(findings([*hub, node("n3", 3, internal_ip="10.1.0.3/24", **texts)]))

    assert without() == ["KG314"]
    assert without(location="hub") == []
    assert without(location="elsewhere") == []
    assert without(endpoint="198.51.100.3:51820") == []  # the same private network by chance
    away: dict[str, Any] = {"endpoint": "10.1.0.3:51820", "persistent_keepalive": "25"}
    seen = node("n1", 1, location="hub", internal_ip="10.1.0.1/24")
    for address, expected in (("203.0.113.9", ["KG314"]), ("198.51.100.9", [])):
        changed = {**seen.annotations, PREFIX + "discovered-endpoints": discovered(n3=address)}
        nodes = [seen._replace(annotations=changed),
                 node("n3", 3, internal_ip="10.1.0.3/24", **away)]  # fmt: skip
        assert codes(findings(nodes)) == expected


APART = [
    ({"internal_ip": "10.0.0.5/24"}, {"internal_ip": "192.168.9.33/24"}),
    ({"internal_ip": "10.0.0.5/16"}, {"internal_ip": "10.9.0.33/16"}),
    ({"internal_ip": "192.168.1.5/24"}, {"internal_ip": "192.168.9.33/24"}),
    ({"internal_ip": "172.16.1.5/24"}, {"internal_ip": "172.20.9.33/24"}),
    ({"internal_ip": "fd00:1::5/64"}, {"internal_ip": "fd00:2::5/64"}),
    (
        {"internal_ip": "10.0.0.5/24"},
        {"internal_ip": "192.168.9.33/24", "endpoint": "192.168.9.33:51820"},
    ),
]
TOGETHER = [
    ({"internal_ip": "10.0.0.5/24"}, {"internal_ip": "10.0.0.6/24"}),
    ({"internal_ip": "10.0.1.5/24"}, {"internal_ip": "10.0.2.5/24"}),  # subnets of one VPC
    ({"internal_ip": "10.0.0.2/32"}, {"internal_ip": "10.7.0.3/32"}),  # Hetzner's networks
    ({"internal_ip": "10.0.0.5/8"}, {"internal_ip": "10.9.0.33/16"}),
    (
        {"internal_ip": "192.168.1.5/24"},
        {"internal_ip": "192.168.2.5/24", "endpoint": "192.168.2.5:51820"},  # a routed VLAN
    ),
    (
        {"internal_ip": "192.168.1.5/24", "endpoint": "192.168.1.5:51820"},
        {"internal_ip": "10.0.0.5/24", "endpoint": "10.0.0.5:51820"},
    ),
    (
        {"internal_ip": "192.168.1.5/24", "endpoint": "203.0.113.1:51820"},
        {"internal_ip": "10.0.0.5/24", "endpoint": "203.0.113.1:51821"},  # one public address
    ),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_two_sites_without_a_location(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert "KG315" in codes(findings([node("a", 1, **one), node("b", 2, **other)]))
    named = [node("a", 1, **one, location="x"), node("b", 2, **other, location="y")]
    assert not {"KG312", "KG313", "KG314", "KG315"} & set(codes(findings(named)))


@pytest.mark.parametrize(("one", "other"), TOGETHER)
def test_one_site_without_a_location(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert "KG315" not in codes(findings([node("a", 1, **one), node("b", 2, **other)]))


SITE = "example.com/site"


def labelled(label: str, *, texts: str = "ams ams fra fra") -> list[NodeObject]:
    """Four nodes of two sites, whose agents read the label."""
    region, found, leaders = "topology.kubernetes.io/region", [], 0
    for number, site in enumerate(texts.split(), 1):
        leads = number == 1 or site != texts.split()[number - 2]
        leaders += leads
        labels = {region: "eu", "kubernetes.io/os": "linux", "kubernetes.io/hostname": f"n{number}"}
        if site != "none":
            labels[label] = site
        address = f"10.4.0.{leaders}/16" if leads else ""
        place = f"10.{7 if site == 'ams' else 8}.0.{number}/24"
        found.append(node(f"n{number}", number, labels=labels, wireguard_ip=address,
                          internal_ip=place))  # fmt: skip
    return found


@pytest.mark.parametrize(
    "label", [SITE, "topology.kubernetes.io/zone", PREFIX + "location", "rack", "x"]
)
def test_the_label_that_the_agents_read_is_named(label: str) -> None:
    (found,) = findings(labelled(label))
    assert found.code == "KG216"
    assert f"--topology-label {label}:" in found.remedy
    assert codes(findings(labelled(label), label=label)) == []


def test_the_flag_of_kgctl_is_one_too_many() -> None:
    nodes = labelled("topology.kubernetes.io/region")
    (found,) = of("KG216", findings(nodes, label=SITE))
    assert "leave --topology-label out" in found.remedy


def test_nodes_without_the_label_are_in_the_location_without_a_name() -> None:
    assert codes(findings(labelled(SITE, texts="none none fra fra"))) == ["KG216"]


def test_what_fits_as_it_is_needs_no_other_label() -> None:
    """As after a label that agents do not read: one node leads all."""
    nodes = [
        one._replace(annotations={**one.annotations, PREFIX + "wireguard-ip": address})
        for one, address in zip(labelled(PREFIX + "location"), ["10.4.0.1/16", "", "", ""],
                                strict=True)
    ]  # fmt: skip
    assert codes(findings(nodes)) == ["KG107", "KG315"] or codes(findings(nodes)) == ["KG107"]


def test_a_former_leader_whose_address_is_not_yet_gone_points_to_no_label() -> None:
    hosts = [{"kubernetes.io/hostname": name} for name in ("a", "b")]
    both: dict[str, Any] = {"wireguard_ip": "10.4.0.1/16", "location": None}
    nodes = [node("a", 1, labels=hosts[0], **both, internal_ip="10.1.0.1/24"),
             node("b", 2, labels=hosts[1], **both, internal_ip="10.1.0.2/24")]  # fmt: skip
    assert "KG216" not in codes(findings(nodes))


def test_how_well_locations_fit() -> None:
    nothing = fit([])
    assert (nothing.one_leader_each, nothing.in_order) == (True, 0)


@pytest.mark.parametrize(
    ("internal_ip", "texts", "found"),
    [
        ("172.17.0.1/16", {}, True),
        ("172.18.0.1/16", {}, True),
        ("172.31.0.1/16", {}, True),
        ("10.88.0.1/16", {}, True),
        ("192.168.122.1/24", {}, True),
        ("127.0.0.1/8", {}, True),
        ("169.254.1.1/16", {}, True),
        ("10.9.9.9/32", {"cni_compatibility_ip": "10.9.9.9/32"}, True),
        ("172.17.0.2/16", {}, False),  # a node in a container, as minikube's and kind's are
        ("172.16.0.1/16", {}, False),
        ("172.18.0.1/24", {}, False),
        ("192.168.122.7/24", {}, False),
        ("10.9.9.9/32", {"cni_compatibility_ip": "10.9.9.8/32"}, False),
    ],
)
def test_an_internal_ip_that_every_machine_has(
    internal_ip: str, texts: dict[str, Any], found: bool
) -> None:
    nodes = [node("a", 1, internal_ip=internal_ip, **texts), node("b", 2, location="b")]
    assert bool(of("KG218", findings(nodes))) is found


@pytest.mark.parametrize(
    ("cidrs", "found"),
    [
        (("10.42.1.0/24", "fd42::/64"), True),
        (("10.42.1.0/24", "10.43.1.0/24"), True),
        (("10.42.1.0/24", "\x1b[2J"), True),
        (("10.42.1.0/24",), False),
        (("10.42.1.0/24", ""), False),
        ((), False),
    ],
)
def test_a_pod_cidr_that_kilo_does_not_read(cidrs: tuple[str, ...], found: bool) -> None:
    nodes = [node("a", 1, platform=Platform(cidrs)), node("b", 2, location="b")]
    (one,) = of("KG217", findings(nodes)) or (None,)
    assert (one is not None) is found
    assert one is None or one.sentence.isprintable()


def test_many_nodes_are_judged_in_no_time() -> None:
    """Every rule of this kind at 5,000 nodes, with labels that all have to be tried."""
    sites = [f"s{number % 500}" for number in range(5000)]
    nodes = [
        node(
            f"n{number:04}",
            number % 250,
            labels={f"l{one}": f"{number % (one + 2)}" for one in range(20)},
            location=sites[number] if number % 2 else None,
            internal_ip=f"10.{number >> 8}.{number & 255}.1/24",
            wireguard_ip=f"10.4.{number >> 8}.{number & 255}/16",
        )
        for number in range(5000)
    ]
    started = time.process_time()
    findings(nodes)
    assert time.process_time() - started < 60
