"""The page of ``kgctl serve`` in a browser: it follows changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.apiserver.fleet import fleet
from tests.support.quiet import QuietServer, node
from tests.support.served import served

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser


OLDER = """seconds => {
    const text = document.getElementById("heartbeat").textContent;
    const [, count, unit] = text.match(/^(\\d+)([sm]) ago$/);
    return count * (unit === "m" ? 60 : 1) >= seconds;
}"""
"""Whether the heartbeat is so many seconds old; a busy browser may pass over one of them."""


def write(file: Path, nodes: int) -> None:
    items = list(fleet(nodes))
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def test_a_node_that_comes_is_on_the_page(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "cluster.json"
    write(file, 4)
    options = ("-f", str(file), "--at", "newest", "--mesh-granularity", "location")
    with served(*options, "serve", "--interval", "1") as url:
        tab = chromium.new_page()
        said: list[str] = []
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("console", lambda message: said.append(message.text))
        tab.goto(url)
        tab.get_by_text("4 of 4 nodes ready").wait_for()
        tab.evaluate("() => kilo.select('node node-00001', true)")
        write(file, 7)
        tab.get_by_text("7 of 7 nodes ready").wait_for()
        assert tab.evaluate("() => kilo.cy.getElementById('node node-00006').length") == 1
        assert tab.locator("#panel h2").first.inner_text() == "node-00001"
        assert [text for text in said if "favicon" not in text] == []
        tab.close()


def test_heartbeats_grow_older_while_nothing_happens(chromium: Browser, tmp_path: Path) -> None:
    with QuietServer([node("a-1", 2)]) as server:
        options = ("--kubeconfig", str(server.kubeconfig(tmp_path)))
        with served(*options, "serve") as url:
            tab = chromium.new_page()
            tab.goto(url)
            tab.get_by_text("1 of 1 node ready, 0 peers, granularity location; live").wait_for()
            tab.evaluate("() => kilo.select('node a-1', true)")
            first = int(tab.locator("#heartbeat").inner_text().removesuffix("s ago"))
            tab.wait_for_function(OLDER, arg=first + 4)
            server.away.set()
            tab.get_by_text("last heard").wait_for()
            tab.wait_for_function(OLDER, arg=first + 9)
            tab.close()
