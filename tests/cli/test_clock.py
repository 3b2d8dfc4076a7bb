"""This machine's clock, compared with the API server's; files are judged when read."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from kgctl.cli.core.shared import Shared
from kgctl.cli.core.source import reading_of
from kgctl.state import manifests
from tests.support.quiet import QuietServer, node
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WARNING = "warning: this machine's clock is {} the API server's, and heartbeats are judged by it"


@pytest.mark.parametrize("command", [("get", "nodes"), ("graph",), ("check",)])
@pytest.mark.parametrize(
    ("ahead", "said"),
    [(-600.0, WARNING.format("9m ahead of")), (600.0, WARNING.format("9m behind")), (0.0, "")],
)
def test_a_clock_that_is_off_is_a_warning(
    tmp_path: Path, command: tuple[str, ...], ahead: float, said: str
) -> None:
    with QuietServer([node("ams-1", 5)], ahead=ahead) as server:
        options = ("--kubeconfig", str(server.kubeconfig(tmp_path)))
        answer = kgctl(*options, *command)
        assert said in answer.stderr
        assert ("clock" in answer.stderr) == bool(said)
        now = kgctl(*options, "--at", str(int(time.time())), *command)
    assert "clock" not in now.stderr
    assert answer.stdout.replace("6s", "5s") == now.stdout.replace("6s", "5s")


def test_check_names_the_clock_as_the_remedy(tmp_path: Path) -> None:
    """All nodes look stale to a machine whose clock is ahead."""
    with QuietServer([node("ams-1", 605), node("ams-2", 610)], ahead=-600) as server:
        answer = kgctl("--kubeconfig", str(server.kubeconfig(tmp_path)), "check", "-o", "json")
    report = json.loads(answer.stdout)
    remedies = [one["remedy"] for one in report["findings"] if one["code"] == "KG005"]
    assert len(remedies) == 2
    assert all("clock is 9m ahead of the API server's" in one for one in remedies)


def test_heartbeats_get_no_older_while_a_file_is_parsed() -> None:
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": []}).encode()

    def slowly() -> Iterator[tuple[str, bytes, bool]]:
        yield "first", listed, False
        time.sleep(0.3)  # as long as parsing takes
        yield "second", listed, False

    before = time.time()
    objects = manifests.objects_in(slowly())
    assert before <= objects.read_at < before + 0.2
    assert reading_of(Shared(filename=["x"]), objects).now == objects.read_at
