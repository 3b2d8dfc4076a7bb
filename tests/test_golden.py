"""All recorded answers of the reference, from manifest files."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.recorded import CLUSTERS, differences, kgctl, load

if TYPE_CHECKING:
    from pathlib import Path


def test_there_are_all_recordings() -> None:
    assert len(CLUSTERS) == 30
    assert sum(len(load(path)[1]) for path in CLUSTERS) == 915


@pytest.mark.parametrize("recording", CLUSTERS, ids=lambda path: path.stem)
def test_answers_are_those_of_the_reference(recording: Path, tmp_path: Path) -> None:
    cluster, cases = load(recording)
    manifest = tmp_path / "cluster.json"
    manifest.write_text(json.dumps(cluster))
    assert differences(cases, "-f", str(manifest)) == []


@pytest.mark.needs("dot")
@pytest.mark.parametrize("recording", CLUSTERS, ids=lambda path: path.stem)
def test_graphviz_reads_the_graph_without_a_warning(recording: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "cluster.json"
    manifest.write_text(json.dumps(load(recording)[0]))
    for granularity in ("location", "full"):
        answer = kgctl("-f", str(manifest), "graph", "--mesh-granularity", granularity)
        drawn = subprocess.run(
            ["dot", "-Tsvg"], input=answer.stdout.encode(), capture_output=True, check=True
        )
        assert drawn.stderr == b""
        assert b"</svg>" in drawn.stdout
