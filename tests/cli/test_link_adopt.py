"""``kgctl link --adopt`` on manifests: manual links are detected, kept and taken over."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.recorded import Answer, kgctl
from tests.support.several import NOW, east, key, node, peer, west, with_links, write

if TYPE_CHECKING:
    from tests.support.several import Object

PAIR = Path(__file__).parents[1] / "diagnosis" / "pairs" / "KG607-trips"
LINK = "kgctl.dev/link"


class Files:
    """Two clusters as files, west and east, and kgctl on both of them."""

    def __init__(self, directory: Path, clusters: dict[str, list[Object]]) -> None:
        self.directory = directory
        self.clusters = clusters
        self.arguments = [
            f"{name}={write(directory / f'{name}.yaml', own)}" for name, own in clusters.items()
        ]

    def run(self, command: str, *options: str) -> Answer:
        return kgctl(command, *self.arguments, "--at", NOW, *options)

    def written(self, *options: str) -> dict[str, Object]:
        """Return the Peers that ``--directory`` writes, by cluster and name."""
        out = self.directory / "out"
        answer = self.run("link", *options, "-d", str(out))
        assert answer.code == 0, answer.stderr
        return {
            f"{file.stem}/{one['metadata']['name']}": one
            for file in out.iterdir()
            for one in yaml.safe_load_all(file.read_text())
        }

    def carried_out(self, *options: str) -> Files:
        """Return the clusters as they are once what is written is applied."""
        new = copy.deepcopy(self.clusters)
        for place, one in self.written(*options).items():
            own = new[place.partition("/")[0]]
            own[:] = [old for old in own if named(old) != named(one)] + [one]
        (self.directory / "next").mkdir()
        return Files(self.directory / "next", new)

    def codes(self) -> set[str]:
        places = [part for one in self.arguments for part in ("--cluster", one)]
        answer = kgctl("check", *places, "--at", NOW, "-o", "json")
        return {one["code"] for one in yaml.safe_load(answer.stdout)["findings"]}


def named(one: Object) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def as_documented(tmp_path: Path) -> Files:
    """The two clusters that people link as Kilo's documentation shows."""
    clusters = {
        name: list(yaml.safe_load_all((PAIR / f"{name}.yaml").read_text()))
        for name in ("west", "east")
    }
    return Files(tmp_path, clusters)


def by_hand(**changed: Any) -> dict[str, list[Object]]:
    """Two clusters of several nodes whose links have lost names and labels."""
    clusters = with_links({"west": west(), "east": east()})
    for own in clusters.values():
        for one in own:
            name = one["metadata"]["name"]
            if name.startswith("link-"):
                one["metadata"] = {"name": f"hand-{name.partition('.')[2]}"}
                one["spec"].update(changed.get(one["metadata"]["name"].replace("-", "_"), {}))
    return clusters


def test_without_adopt_nothing_is_written_and_the_peers_are_named(tmp_path: Path) -> None:
    answer = as_documented(tmp_path).run("link", "--dry-run")
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr.splitlines() == [
        "linked already: peer c2-1 of west links to location:us of east and was made by hand",
        "linked already: peer c1-1 of east links to location:eu of west and was made by hand",
        "not linked, nothing was changed: take the Peers over with --adopt, or remove them first",
    ]


def test_peers_of_the_documentation_are_taken_over_as_they_are(tmp_path: Path) -> None:
    files = as_documented(tmp_path)
    plan = files.run("link", "--adopt", "--dry-run")
    assert (plan.code, plan.stderr) == (0, "")
    assert plan.stdout == (
        "west:\n  ~ peer c2-1 (labels)\n      labels: a link to east\n"
        "east:\n  ~ peer c1-1 (labels)\n      labels: a link to west\n"
        "0 to add, 2 to change, 0 to remove (dry run)\n"
    )
    written = files.written("--adopt")
    assert set(written) == {"west/c2-1", "east/c1-1"}
    before = {named(one): one["spec"] for one in files.clusters["west"]}
    assert written["west/c2-1"]["spec"] == before["Peer", "c2-1"]
    assert written["west/c2-1"]["metadata"]["annotations"][LINK] == "link-east.us"


def test_what_was_taken_over_is_kept_current_and_unlinked_as_any_link(tmp_path: Path) -> None:
    files = as_documented(tmp_path).carried_out("--adopt")
    assert "KG607" not in files.codes()
    again = files.run("link", "--dry-run")
    assert (again.stdout, again.stderr) == ("nothing to do\n", "")
    assert files.run("link", "--adopt", "--dry-run").stdout == "nothing to do\n"
    assert files.run("unlink", "--dry-run").stdout == (
        "west:\n  - peer c2-1\neast:\n  - peer c1-1\n0 to add, 0 to change, 2 to remove (dry run)\n"
    )
    annotations = files.clusters["east"][0]["metadata"]["annotations"]
    annotations["kilo.squat.ai/key"] = key("another")
    moved = Files(tmp_path, files.clusters).run("link", "--dry-run")
    assert "west:\n  ~ peer c2-1 (publicKey)\n" in moved.stdout
    assert "0 to add, 1 to change, 0 to remove" in moved.stdout


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((), True),
        (("--service-cidr", "east=10.53.0.0/16"), True),
        (("--service-cidr", "east=none"), False),
        (("--service-cidr", "west=none"), True),
    ],
)
def test_networks_of_services_stay_unless_others_are_given(
    tmp_path: Path, given: tuple[str, ...], kept: bool
) -> None:
    files = as_documented(tmp_path)
    assert (
        "10.53.0.0/16" in files.written("--adopt", *given)["west/c2-1"]["spec"]["allowedIPs"]
    ) is kept
    later = files.carried_out("--adopt")
    assert ("10.53.0.0/16" in later.written(*given)["west/c2-1"]["spec"]["allowedIPs"]) is kept


def test_a_network_of_someone_else_does_not_stay(tmp_path: Path) -> None:
    clusters = by_hand()
    link = next(one for one in clusters["west"] if one["metadata"]["name"] == "hand-asia")
    link["spec"]["allowedIPs"] += ["10.1.3.0/24", "10.77.0.0/16", "0.0.0.0/0", "10.5.0.0/30"]
    allowed = Files(tmp_path, clusters).written("--adopt")["west/hand-asia"]["spec"]["allowedIPs"]
    assert "10.77.0.0/16" in allowed
    assert not {"10.1.3.0/24", "0.0.0.0/0", "10.5.0.0/30"}.intersection(allowed)


def test_what_linking_does_not_say_stays_and_what_it_says_is_mended(tmp_path: Path) -> None:
    secret = key("preshared")
    clusters = by_hand(
        hand_asia={"presharedKey": secret, "persistentKeepalive": 7},
        hand_eu={"endpoint": {"dnsOrIP": {"ip": "203.0.113.99"}, "port": 1}},
    )
    files = Files(tmp_path, clusters)
    written = files.written("--adopt")
    assert written["west/hand-asia"]["spec"]["presharedKey"] == secret
    assert written["west/hand-asia"]["spec"]["persistentKeepalive"] == 7
    endpoint = written["east/hand-eu"]["spec"]["endpoint"]
    assert endpoint == {"dnsOrIP": {"ip": "203.0.113.11"}, "port": 51820}
    assert secret not in files.run("link", "--adopt", "--dry-run").stdout


def test_where_both_are_behind_nat_the_endpoint_that_a_person_gave_stays(tmp_path: Path) -> None:
    hidden = {"persistent_keepalive": "25"}
    clusters = with_links(
        {
            "west": [node("w", 1, 1, "eu", endpoint="192.168.7.1:51820", **hidden)],
            "east": [node("e", 2, 1, "us", endpoint="192.168.8.1:51820", **hidden)],
        }
    )
    for own in clusters.values():
        own[-1]["metadata"] = {"name": "hand"}
    assert "endpoints: " in Files(tmp_path, clusters).run("link", "--adopt").stderr
    forwarded = {"dnsOrIP": {"ip": "203.0.113.99"}, "port": 4500}
    clusters["west"][-1]["spec"]["endpoint"] = forwarded
    files = Files(tmp_path, clusters)
    assert files.written("--adopt")["west/hand"]["spec"]["endpoint"] == forwarded
    later = files.carried_out("--adopt")
    assert later.run("link", "--dry-run").stdout == "nothing to do\n"


@pytest.mark.parametrize("stale", ["of-a-follower", "of-nobody"])
def test_a_link_whose_key_is_out_of_date_is_known_and_mended_in_place(
    tmp_path: Path, stale: str
) -> None:
    other = {"of-a-follower": key("2 e2"), "of-nobody": key("what e1 had")}[stale]
    files = Files(tmp_path, by_hand(hand_asia={"publicKey": other}))
    codes = files.codes()
    assert "KG602" in codes
    assert not codes & {"KG604", "KG606"}
    assert files.written("--adopt")["west/hand-asia"]["spec"]["publicKey"] == key("2 e1")
    assert not files.carried_out("--adopt").codes() & {"KG601", "KG602", "KG607"}


def test_of_two_peers_of_one_segment_the_one_that_works_is_kept(tmp_path: Path) -> None:
    clusters = by_hand()
    clusters["west"].append(peer("a-former", "10.2.1.0/24", publicKey=key("2 e2")))
    files = Files(tmp_path, clusters)
    assert "west/hand-asia" in files.written("--adopt")
    plan = files.run("link", "--adopt", "--dry-run").stdout
    assert "  ? peer a-former is stale; --prune removes it\n" in plan
    assert "  - peer a-former\n" in files.run("link", "--adopt", "--prune", "--dry-run").stdout


def test_a_half_that_a_person_made_gets_the_other(tmp_path: Path) -> None:
    clusters = by_hand()
    clusters["east"] = east()
    files = Files(tmp_path, clusters)
    assert "KG601" in files.codes()
    assert set(files.written("--adopt")) == {
        "west/hand-asia", "east/link-west.eu", "east/link-west.us",
    }  # fmt: skip


def test_links_that_were_made_under_another_name_are_no_reason_for_second_ones(
    tmp_path: Path,
) -> None:
    clusters = with_links({"west": west(), "east": east()})
    files = Files(tmp_path, {"eu": clusters["west"], "asia": clusters["east"]})
    refused = files.run("link", "--dry-run")
    assert refused.code == 1
    assert "was made by kgctl link, which called that cluster east" in refused.stderr
    later = files.carried_out("--adopt")
    assert later.run("link", "--dry-run").stdout == "nothing to do\n"
    assert "KG607" not in files.codes()


def test_unlink_names_the_peers_that_stay(tmp_path: Path) -> None:
    answer = as_documented(tmp_path).run("unlink", "--dry-run")
    assert answer.stdout == "nothing to do\n"
    assert answer.stderr.splitlines() == [
        "west: the peer c2-1 links to east and stays: kgctl link did not make it; to remove "
        "it: kgctl peer rm c2-1",
        "east: the peer c1-1 links to west and stays: kgctl link did not make it; to remove "
        "it: kgctl peer rm c1-1",
    ]


@pytest.mark.parametrize("command", ["link", "unlink"])
def test_one_cluster_twice_is_named_as_such(tmp_path: Path, command: str) -> None:
    once = write(tmp_path / "x.yaml", west())
    answer = kgctl(command, f"a={once}", f"b={once}", "--at", NOW, "--dry-run")
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr == (
        "a and b are the same cluster: their nodes have the same names and keys; give two "
        "clusters\n"
    )


def test_a_machine_that_was_cloned_into_another_cluster_is_no_cluster_twice(tmp_path: Path) -> None:
    copied = node("w2", 2, 2, "asia", key=key("1 w2"))
    files = Files(tmp_path, {"west": west(), "east": [*east(), copied]})
    assert "keys: " in files.run("link", "--dry-run").stderr


def test_a_mesh_file_is_carried_out_with_adopt(tmp_path: Path) -> None:
    files = as_documented(tmp_path)
    mesh = {
        "apiVersion": "kgctl.dev/v1alpha1",
        "kind": "Mesh",
        "clusters": [
            {"name": name, "manifests": [f"{name}.yaml"]} for name in ("west", "east")
        ],
    }  # fmt: skip
    path = tmp_path / "mesh.yaml"
    path.write_text(yaml.safe_dump(mesh))
    refused = kgctl("link", "-f", str(path), "--at", NOW, "--dry-run")
    assert refused.code == 1
    assert "--adopt" in refused.stderr
    taken = kgctl("link", "-f", str(path), "--at", NOW, "--dry-run", "--adopt")
    assert taken.stdout == files.run("link", "--adopt", "--dry-run").stdout
