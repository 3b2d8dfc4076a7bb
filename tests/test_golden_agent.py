"""All recorded decisions of the reference's agent, from manifest files."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import MeshError
from tests.support.recorded import kgctl
from tests.support.recorded_agents import NOW, RECORDINGS, comparable, flags, load, planned

if TYPE_CHECKING:
    from pathlib import Path


def test_there_are_all_recordings() -> None:
    assert len(RECORDINGS) == 22
    cases = [case for path in RECORDINGS for case in load(path)[1]]
    assert len(cases) == 249
    assert sum("error" not in case for case in cases) == 238


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_agents_decide_as_the_reference(recording: Path, tmp_path: Path) -> None:
    cluster, cases = load(recording)
    manifest = tmp_path / "cluster.json"
    manifest.write_text(json.dumps(cluster))
    for case in cases:
        if "error" in case:
            with pytest.raises(MeshError):
                planned(manifest, case)
        else:
            assert comparable(planned(manifest, case)) == comparable(case)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_the_command_line_says_what_the_agents_decided(recording: Path, tmp_path: Path) -> None:
    cluster, cases = load(recording)
    manifest = tmp_path / "cluster.json"
    manifest.write_text(json.dumps(cluster))
    source = ["-f", str(manifest), f"--at={NOW:.0f}", "--dry-run", "-o", "json"]
    for case in cases:
        code, out, errors = kgctl("agent", *source, *flags(case))
        if "error" in case:
            assert (code, out) == (1, "")
            assert errors
        else:
            assert (code, errors) == (0, "")
            assert comparable(json.loads(out)) == comparable(case)


@pytest.mark.needs("bash")
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_the_commands_are_words_for_a_shell(recording: Path, tmp_path: Path) -> None:
    cluster, cases = load(recording)
    manifest = tmp_path / "cluster.json"
    manifest.write_text(json.dumps(cluster))
    source = ["-f", str(manifest), f"--at={NOW:.0f}", "--dry-run"]
    lines: list[str] = []
    for case in cases:
        if "error" not in case:
            code, out, errors = kgctl("agent", *source, *flags(case))
            assert (code, errors) == (0, "")
            lines += out.splitlines()
    starts = ("ip ", "wg set ", "iptables ", "ip6tables ", "private=$(ip ", "# no route to ")
    assert all(line.startswith(starts) for line in lines)
    script = "\n".join(lines)
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
