"""Linking from Python: plans, refusals and reports, without a command line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import InputError
from kgctl.link.apply import apply_plan
from kgctl.link.clusters import ClusterRef, ReadOnlyClusterError
from kgctl.link.plan import ObstacleError, plan_links, plan_unlink, wanted_objects
from kgctl.link.spec import LinkSpec, read_link_spec
from tests.support.reporting import Recorder
from tests.support.several import east, node, west, with_links, write

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.state.interface import Source
    from tests.support.several import Object


def refs(directory: Path, clusters: dict[str, list[Object]]) -> list[ClusterRef]:
    for name, own in clusters.items():
        write(directory / f"{name}.yaml", own)
    return [ClusterRef.of_files(name, directory / f"{name}.yaml") for name in clusters]


def test_what_is_linked_already_needs_no_step(tmp_path: Path) -> None:
    clusters = refs(tmp_path, with_links({"west": west(), "east": east()}))
    reporter = Recorder()
    plan = plan_links(LinkSpec(clusters, at="newest"), reporter)
    assert (plan.is_empty, str(plan), reporter.warned) == (True, "", [])
    unlink = plan_unlink(LinkSpec(clusters), reporter)
    assert unlink.counts() == {"add": 0, "change": 0, "remove": 3}
    with pytest.raises(ReadOnlyClusterError, match="west was read from files"):
        apply_plan(unlink)


def test_an_obstacle_is_reported_and_the_error_has_the_check(tmp_path: Path) -> None:
    clusters = refs(tmp_path, {"west": west(), "east": [node("w9", 1, 1, "asia")]})
    reporter = Recorder()
    with pytest.raises(ObstacleError, match="changed: failed checks: overlap") as raised:
        plan_links(LinkSpec(clusters, at="newest"), reporter)
    assert raised.value.checks == ("overlap",)
    assert "--" not in str(raised.value)
    assert all(line.startswith("overlap: ") for line in reporter.warned)
    again = Recorder()
    plan_links(LinkSpec(clusters, at="newest", allowed=frozenset(["overlap"])), again)
    assert f"allowed: {reporter.warned[0]}" in again.warned


def test_without_a_reporter_warnings_go_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clusters = refs(tmp_path, {"west": west(), "east": [node("w9", 1, 1, "asia")]})
    with pytest.raises(ObstacleError):
        plan_links(LinkSpec(clusters, at="newest"))
    assert {(one.name, one.levelno) for one in caplog.records} == {("kgctl", logging.WARNING)}


@pytest.mark.parametrize(
    ("names", "words"),
    [(["west"], "at least two clusters"), (["west", "west"], 'two clusters are called "west"')],
)
def test_clusters_that_cannot_be_told_apart_are_invalid(names: list[str], words: str) -> None:
    spec = LinkSpec([ClusterRef.of_files(name, "nowhere") for name in names])
    for function in (plan_links, plan_unlink, wanted_objects):
        with pytest.raises(InputError, match=words):
            function(spec, Recorder())


def test_a_mesh_file_opens_its_clusters_as_it_is_told(tmp_path: Path) -> None:
    refs(tmp_path, {"east": east()})
    (tmp_path / "mesh.yaml").write_text(
        "apiVersion: kgctl.dev/v1alpha1\nkind: Mesh\nclusters:\n"
        "- {name: west, context: prod, kubeconfig: west.kubeconfig}\n"
        "- {name: east, manifests: [east.yaml], limits: {accept: [e1=198.51.100.7/24]}}\n"
    )
    write(tmp_path / "west.yaml", west())
    opened = []

    def open_cluster(kubeconfig: str | None, context: str | None) -> Source:
        opened.append((kubeconfig, context))
        return ClusterRef.of_files("west", tmp_path / "west.yaml").source

    spec = read_link_spec(tmp_path / "mesh.yaml", open_cluster)
    assert opened == [(str(tmp_path / "west.kubeconfig"), "prod")]
    assert str(spec.limits["east"].accept["e1"][0]) == "198.51.100.0/24"
    objects = wanted_objects(spec._replace(at="newest"), Recorder())
    assert [one["metadata"]["name"] for one in objects["east"]] == ["link-west.eu", "link-west.us"]
