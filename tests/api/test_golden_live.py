"""Some recorded answers of the reference, from a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.recorded import CLUSTERS, differences, load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apiserver.server import ApiServer

SOME = CLUSTERS[::3]


@pytest.mark.parametrize("recording", SOME, ids=lambda path: path.stem)
def test_answers_are_those_of_the_reference(recording: Path, api_server: ApiServer) -> None:
    cluster, cases = load(recording)
    api_server.clear()
    api_server.apply(cluster["items"])
    reader = api_server.token_user("reader")
    assert differences(cases, "--kubeconfig", str(reader)) == []
