"""All entries of the tables of formats: one cluster, several, hostile names, none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from kgctl.diagnosis.facts import Settings, Subject
from kgctl.diagnosis.finding import SEVERITIES
from kgctl.diagnosis.report import examine
from kgctl.mesh.state import State, network_of
from kgctl.render.findings.formats import FINDINGS_FORMATS, Terms
from kgctl.render.graph.formats import GRAPH_FORMATS, STYLES, Look
from kgctl.render.graph.graphviz_programs import LAYOUTS
from kgctl.render.graph.panorama import panorama_of
from kgctl.render.graph.picture import picture_of
from kgctl.render.lists.formats import LIST_FORMATS
from kgctl.render.lists.listing import list_nodes, list_peers, list_segments, together
from kgctl.render.manifest import MANIFEST_FORMATS, peer_object
from kgctl.render.page.content import Shown
from kgctl.state.objects import state_of
from kgctl.wireguard.conf import peer_as_peer
from tests.support.recorded import kgctl
from tests.support.several import (
    NOW,
    Object,
    east,
    member,
    members,
    node,
    objects_of,
    options,
    peer,
    troubled,
    west,
    with_links,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kgctl.diagnosis.report import Report
    from kgctl.mesh.links import Linked
    from kgctl.mesh.topology import Topology
    from kgctl.render.findings.formats import FindingsFormat
    from kgctl.render.graph.formats import GraphFormat
    from kgctl.render.graph.panorama import Panorama
    from kgctl.render.graph.picture import Picture
    from kgctl.render.lists.formats import ListFormat
    from kgctl.render.lists.listing import Listing
    from kgctl.render.manifest import ManifestFormat

MARKS = ('"', "<", "&", "\n", "\\", "\x1b", "\u202e", "`", "|", "]", "'", "#", "%", "${")
HOSTILE = [f'n{number}{mark}"<b>' for number, mark in enumerate(MARKS)]


def hostile() -> list[Object]:
    """Return a cluster in which every name has what means something to a format."""
    nodes = [node(name, 1, number, name) for number, name in enumerate(HOSTILE, start=1)]
    peers = [peer(f"p{name}", f"10.5.0.{number}/32") for number, name in enumerate(HOSTILE)]
    return [*nodes, *peers]


CLUSTERS = {"west": west(), "hostile": hostile(), "single": [node("a", 1, 1, "eu")]}
SEVERAL = {
    "linked": with_links({"west": west(), "east": east()}),
    "troubled": troubled(),
    "hostile": with_links({HOSTILE[0]: hostile(), HOSTILE[1]: east()}),
}


class Cluster(NamedTuple):
    """One cluster, as a writer of graphs asks for it."""

    objects: list[Object]

    def topology(self) -> Topology:
        return network_of(state_of(objects_of(self.objects)), now=float(NOW))

    def picture(self) -> Picture:
        return picture_of(state_of(objects_of(self.objects)), self.topology(), float(NOW))

    def page(self) -> Shown:
        return Shown(self.picture(), float(NOW))


class Clusters(NamedTuple):
    """Several clusters, as a writer of graphs asks for them."""

    objects: dict[str, list[Object]]

    def linked(self) -> Linked:
        return members(self.objects)

    def panorama(self) -> Panorama:
        linked = self.linked()
        return panorama_of(linked, {one.name: float(NOW) for one in linked.members})


HARMFUL = frozenset("\x1b\u202e\x00\r")


def assert_harmless(content: str | bytes) -> None:
    """No control character and no mark of direction gets into a text."""
    if isinstance(content, bytes):
        assert len(content) > 100
        return
    assert content
    assert not HARMFUL & set(content)


WITH_GRAPHVIZ = [
    pytest.param(one, id=one.name, marks=[pytest.mark.needs("dot")] if one.drawn else [])
    for one in GRAPH_FORMATS
]


@pytest.mark.parametrize("form", WITH_GRAPHVIZ)
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_graph_of_one_cluster(form: GraphFormat, cluster: str) -> None:
    for plain in (False, True) if form.style else (False,):
        assert_harmless(form.one(Cluster(CLUSTERS[cluster]), Look(plain)))


@pytest.mark.parametrize("form", WITH_GRAPHVIZ)
@pytest.mark.parametrize("clusters", SEVERAL)
def test_a_graph_of_several_clusters(form: GraphFormat, clusters: str) -> None:
    if form.several is not None:
        for plain in (False, True) if form.style else (False,):
            assert_harmless(form.several(Clusters(SEVERAL[clusters]), Look(plain)))


@pytest.mark.parametrize("form", WITH_GRAPHVIZ)
def test_graph_writes_each_format(form: GraphFormat, tmp_path: Path) -> None:
    for ending in form.endings:
        file = tmp_path / f"kilo{ending}"
        assert kgctl("--example", "graph", "-O", str(file)).code == 0
        assert file.stat().st_size > 100
    several = (*options(tmp_path, troubled()), "graph", "-o", form.name)
    answer = kgctl(*several, "-O", str(tmp_path / "several"))
    assert answer.code == (0 if form.several else 1)
    refused = f"-o {form.name} shows one cluster: give one --context or --cluster\n"
    assert answer.stderr == ("" if form.several else refused)
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    nothing = kgctl("-f", str(empty), "graph", "-o", form.name)
    assert (nothing.code, nothing.stdout) == (1, "")
    assert "internal" not in nothing.stderr


def test_the_excess_of_a_format_is_told() -> None:
    for form in GRAPH_FORMATS:
        if form.excess is not None:
            text = form.one(Cluster(CLUSTERS["west"]), Look())
            assert isinstance(text, str)
            assert form.excess(text) is None
            assert form.excess(text * 1000) is not None


def test_what_is_for_a_terminal_is_a_tree() -> None:
    for form in GRAPH_FORMATS:
        if form.terminal is not None:
            assert form.terminal.tree(Cluster(west()).picture()).children
            assert form.terminal.clusters(Clusters(SEVERAL["linked"]).panorama()).children


def test_the_names_and_endings_of_graphs_are_unambiguous() -> None:
    endings = [ending for one in GRAPH_FORMATS for ending in one.endings]
    assert len(set(endings)) == len(endings)
    assert all(ending.startswith(".") and ending == ending.lower() for ending in endings)
    assert {one.style for one in GRAPH_FORMATS} - {None} <= set(STYLES)


def test_every_name_is_there_once() -> None:
    tables: list[Sequence[str]] = [
        [one.name for one in GRAPH_FORMATS],
        [one.name for one in FINDINGS_FORMATS],
        [one.name for one in LIST_FORMATS],
        [one.name for one in MANIFEST_FORMATS],
        LAYOUTS,
    ]
    for names in tables:
        assert len(set(names)) == len(names)


def test_each_format_says_something_of_its_own() -> None:
    """A new entry with another's writer would print the other's format, and exit with 0."""
    texts = [one.one(Cluster(west()), Look()) for one in GRAPH_FORMATS if not one.drawn]
    texts += [one.write(_listing("west"), False) for one in LIST_FORMATS]
    texts += [one.write(_report(hostile()), Terms("error")) for one in FINDINGS_FORMATS]
    assert len(set(texts)) == len(texts)


def _listing(cluster: str) -> Listing:
    state, topology = state_of(objects_of(CLUSTERS[cluster])), Cluster(CLUSTERS[cluster]).topology()
    return list_nodes(state, topology, float(NOW))


@pytest.mark.parametrize("form", LIST_FORMATS, ids=lambda one: one.name or "table")
def test_a_list(form: ListFormat) -> None:
    for cluster, objects in CLUSTERS.items():
        state, topology = state_of(objects_of(objects)), Cluster(objects).topology()
        for listing in (_listing(cluster), list_peers(state, float(NOW)), list_segments(topology)):
            both = form.write(together({"a": listing, HOSTILE[0]: listing}), False)
            assert not HARMFUL & set(both)
            if listing.items:
                assert_harmless(form.write(listing, False))
                assert_harmless(form.write(listing._replace(items=listing.items[:1]), True))
            if form.table is not None:
                table, left_out = form.table.shown(listing, 40)
                assert table.row_count == len(listing.items)
                assert form.table.wide == (not left_out)
    empty = list_nodes(State((), ()), None, float(NOW))
    assert isinstance(form.write(empty, False), str)


@pytest.mark.parametrize(
    "form", [one for one in LIST_FORMATS if one.name], ids=lambda one: one.name
)
def test_get_prints_each_format(form: ListFormat, tmp_path: Path) -> None:
    for words in (["--example"], options(tmp_path, troubled())):
        answer = kgctl(*words, "get", "nodes", "-o", form.name)
        assert (answer.code, answer.stderr) == (0, "")
    (tmp_path / "empty.yaml").write_text("")
    nothing = kgctl("-f", str(tmp_path / "empty.yaml"), "get", "peers", "-o", form.name)
    assert nothing.code == 0
    assert ("no peers found" in nothing.stderr) == (form.table is not None)


def _report(objects: list[Object]) -> Report:
    subject = Subject(state_of(objects_of(objects)))
    return examine(subject, Settings(float(NOW), "location"))


@pytest.mark.parametrize("form", FINDINGS_FORMATS, ids=lambda one: one.name)
def test_findings(form: FindingsFormat) -> None:
    for objects in (*CLUSTERS.values(), []):
        for limit in SEVERITIES:
            text = form.write(_report(objects), Terms(limit))
            assert isinstance(text, str)
            assert not HARMFUL & set(text)


@pytest.mark.parametrize("form", FINDINGS_FORMATS, ids=lambda one: one.name)
def test_check_prints_each_format(form: FindingsFormat, tmp_path: Path) -> None:
    for words in (["--example"], options(tmp_path, troubled())):
        answer = kgctl(*words, "check", "--offline", "-o", form.name)
        assert answer.code in (0, 1)
        assert answer.stdout
    (tmp_path / "empty.yaml").write_text("")
    nothing = kgctl("-f", str(tmp_path / "empty.yaml"), "check", "-o", form.name)
    assert (nothing.code, nothing.stdout) == (2, "")
    assert "internal" not in nothing.stderr


@pytest.mark.parametrize("form", MANIFEST_FORMATS, ids=lambda one: one.name)
def test_a_manifest_is_the_object(form: ManifestFormat) -> None:
    state = member("hostile", hostile()).state
    for one in state.peers:
        written = peer_object(one.name, peer_as_peer(one, []))
        assert yaml.safe_load(form.write(written)) == written
