"""``get --watch`` on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apiserver.fleet import fleet
from tests.cli.test_watch_screen import Screen

if TYPE_CHECKING:
    from tests.apiserver.server import ApiServer


def test_a_node_that_joins_is_shown(api_server: ApiServer) -> None:
    api_server.clear()
    nodes = list(fleet(3, 3))
    api_server.apply(nodes[:2])
    screen = Screen("--kubeconfig", str(api_server.kubeconfig), "get", "nodes", "--watch")
    screen.wait_for("node-00001")
    assert "node-00002" not in screen.text
    api_server.apply(nodes[2:])
    screen.wait_for("node-00002")
    assert screen.end() == 0
