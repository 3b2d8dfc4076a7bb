"""Rules about several clusters: one pair triggers each, and a similar pair does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from kgctl.diagnosis.rules.across import RULES
from kgctl.render.findings.formats import FINDINGS_FORMATS
from tests.support.recorded import kgctl
from tests.support.several import NOW, Object, east, node, options, peer, west, with_links, write

PAIRS = Path(__file__).parent / "pairs"
CODES = [rule.code for rule in RULES]
FORMATS = tuple(one.name for one in FINDINGS_FORMATS)


def pair(name: str) -> list[str]:
    found = ["--at", NOW]
    for cluster in ("west", "east"):
        found += ["--cluster", str(PAIRS / name / f"{cluster}.yaml")]
    return found


def found(*arguments: str) -> list[dict[str, str]]:
    answer = kgctl(*arguments, "check", "-o", "json")
    assert answer.code in (0, 1), answer.stderr
    findings: list[dict[str, str]] = json.loads(answer.stdout)["findings"]
    return findings


def troubled() -> dict[str, list[Object]]:
    clusters = with_links({"west": west(), "east": east()})
    clusters["east"] = [
        one for one in clusters["east"] if one["metadata"]["name"] != "link-west.us"
    ]
    return clusters


@pytest.mark.parametrize("code", CODES)
def test_a_pair_trips_the_rule_and_no_other_of_its_kind(code: str) -> None:
    codes = {one["code"] for one in found(*pair(f"{code}-trips"))}
    trips_as_well = {"KG602": {"KG601"}, "KG606": {"KG602"}}
    across = codes.intersection(CODES)
    assert code in across
    assert across <= {code} | trips_as_well.get(code, set())


@pytest.mark.parametrize("code", CODES)
def test_a_near_miss_does_not(code: str) -> None:
    assert code not in {one["code"] for one in found(*pair(f"{code}-near-miss"))}


def test_every_pair_belongs_to_a_rule() -> None:
    kinds = ("trips", "near-miss")
    names = {f"{code}-{kind}" for code in CODES for kind in kinds}
    assert {path.name for path in PAIRS.iterdir()} == names


def test_clusters_that_are_linked_as_they_should_be_trip_nothing(tmp_path: Path) -> None:
    both = options(tmp_path, with_links({"west": west(), "east": east()}))
    assert not {one["code"] for one in found(*both)}.intersection(CODES)


@pytest.mark.parametrize(
    "claimed",
    [
        {"internal_ip": "203.0.113.13/32"},  # its own endpoint
        {"internal_ip": "1.1.1.1/32"},
        {"internal_ip": "169.254.169.254/32"},
        {"internal_ip": "172.17.0.1/24"},  # that of w1
        {"internal_ip": "10.66.0.1/24", "endpoint": "10.66.0.1:51820"},  # dialled privately
    ],
)
def test_a_link_without_what_nobody_is_granted_is_as_it_should_be(
    tmp_path: Path, claimed: dict[str, str]
) -> None:
    clusters = {"west": [*west()[:2], node("w3", 1, 3, "us", **claimed)], "east": east()}
    names = [f"{name}={write(tmp_path / f'{name}.yaml', one)}" for name, one in clusters.items()]
    run = kgctl("--at", NOW, "link", *names, "--allow", "endpoints", "-d", str(tmp_path / "links"))
    assert run.code == 0
    for name, one in clusters.items():
        one += yaml.safe_load_all((tmp_path / "links" / f"{name}.yaml").read_text())
    assert "KG603" not in {one["code"] for one in found(*options(tmp_path, clusters))}


@pytest.mark.parametrize(
    ("endpoint", "trips"),
    [
        ({"dnsOrIP": {"ip": "203.0.113.99"}, "port": 51820}, True),
        ({"dnsOrIP": {"ip": "203.0.113.21"}, "port": 51821}, True),
        ({"dnsOrIP": {"dns": "east.example.com"}, "port": 51820}, False),
    ],
)
def test_an_endpoint_that_the_leader_does_not_have_is_stale(
    tmp_path: Path, endpoint: Object, trips: bool
) -> None:
    clusters = with_links({"west": west(), "east": east()})
    link = next(one for one in clusters["west"] if one["metadata"]["name"] == "link-east.asia")
    link["spec"]["endpoint"] = endpoint
    codes = {one["code"] for one in found(*options(tmp_path, clusters))}
    assert ("KG602" in codes) is trips


def test_where_a_leader_behind_nat_is_called_a_person_may_know_better(tmp_path: Path) -> None:
    hidden = node("e1", 2, 1, "asia", endpoint="192.168.7.1:51820", persistent_keepalive="25")
    clusters = with_links({"west": west(), "east": [hidden]})
    link = next(one for one in clusters["west"] if one["metadata"]["name"] == "link-east.asia")
    link["spec"]["endpoint"] = {"dnsOrIP": {"ip": "203.0.113.99"}, "port": 51820}
    assert "KG602" not in {one["code"] for one in found(*options(tmp_path, clusters))}


def test_clusters_that_are_not_linked_may_overlap(tmp_path: Path) -> None:
    both = options(tmp_path, {"west": west(), "east": [*west(), peer("tv", "10.1.0.0/16")]})
    assert not {one["code"] for one in found(*both)}.intersection(CODES)


def test_a_service_network_that_overlaps_is_found(tmp_path: Path) -> None:
    both = options(tmp_path, with_links({"west": west(), "east": east()}))
    given = ("--service-cidr", "west=10.2.0.0/16")
    answer = kgctl(*both, "check", "-o", "json", *given)
    (one, *_) = [one for one in json.loads(answer.stdout)["findings"] if one["code"] == "KG604"]
    assert "the service network of west" in one["sentence"]
    assert kgctl(*both, "check", "--service-cidr", "10.2.0.0/16").code == 2


def test_the_findings_of_each_cluster_are_those_that_it_has_alone(tmp_path: Path) -> None:
    both = options(tmp_path, troubled())
    together = found(*both)
    for cluster in ("west", "east"):
        path = tmp_path / f"{cluster}.yaml"
        own = [one for one in together if one.get("cluster") == cluster]
        for one in own:
            del one["cluster"]
        alone = found("-f", str(path), "--at", NOW)
        assert [one for one in own if one["code"] not in CODES] == alone


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_names_the_cluster(tmp_path: Path, format_: str) -> None:
    clusters = troubled()
    clusters["east"].append(peer("broken", "10.5.7.1"))
    answer = kgctl(*options(tmp_path, clusters), "check", "-o", format_)
    assert answer.code == 1
    if format_ == "json":
        assert {"east"} == {
            one["cluster"] for one in json.loads(answer.stdout)["findings"]
            if one["code"] in ("KG601", "KG401")
        }  # fmt: skip
    else:
        assert "east/peer/broken" in answer.stdout
        assert "KG601" in answer.stdout


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ([], 1),
        (["--ignore", "KG601,KG411"], 0),
        (["--select", "KG601"], 1),
        (["--select", "KG604"], 0),
    ],
)
def test_the_exit_code_is_as_ever(tmp_path: Path, more: list[str], code: int) -> None:
    assert kgctl(*options(tmp_path, troubled()), "check", *more).code == code


def test_an_annotation_passes_a_link_over(tmp_path: Path) -> None:
    path = PAIRS / "KG603-trips" / "east.yaml"
    text = path.read_text().replace(
        "name: link-west.eu\n",
        "name: link-west.eu\n  annotations: {kilo.squat.ai/kgctl-ignore: KG603}\n",
    )
    (tmp_path / "east.yaml").write_text(text)
    west_file = PAIRS / "KG603-trips" / "west.yaml"
    clusters = ["--cluster", str(west_file), "--cluster", str(tmp_path / "east.yaml")]
    report = json.loads(kgctl(*clusters, "--at", NOW, "check", "-o", "json").stdout)
    assert "KG603" not in {one["code"] for one in report["findings"]}
    assert [one["code"] for one in report["ignored"]] == ["KG603"]


def test_a_cluster_without_a_network_is_told_and_the_others_are_looked_at(tmp_path: Path) -> None:
    clusters = {**troubled(), "none": [peer("only", "10.6.0.1/32")]}
    clusters["west"][0]["metadata"]["annotations"]["kilo.squat.ai/key"] = "bad"
    codes = {(one["cluster"], one["code"]) for one in found(*options(tmp_path, clusters))}
    assert ("west", "KG002") in codes


def test_rules_about_several_need_several() -> None:
    answer = kgctl("--example", "check", "--select", "KG6")
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr.startswith("KG601 checks several clusters together")


def test_live_is_for_one(tmp_path: Path) -> None:
    answer = kgctl(*options(tmp_path, troubled()), "check", "--live")
    assert (answer.code, answer.stdout) == (2, "")


@pytest.mark.parametrize(
    ("code", "start", "target"),
    [("KG601", "w3", "e1"), ("KG602", "w1", "e1"), ("KG603", "w2", "e1")],
)
def test_the_rule_that_path_names_finds_it(code: str, start: str, target: str) -> None:
    path = kgctl(*pair(f"{code}-trips"), "path", start, target, "-o", "json")
    assert path.code == 1
    assert json.loads(path.stdout)["there"]["failure"]["rule"] == code
