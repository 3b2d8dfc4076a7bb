"""The page of ``kgctl graph -o html`` in Chromium: features, and resistance to attacks."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kgctl
from tests.apiserver.fleet import fleet
from tests.browser.clusters import ATTACK, PRESHARED, hostile, make_page
from tests.support.recorded import kgctl as kgctl_

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

VENDOR = Path(kgctl.__file__).parent / "render" / "page" / "vendor"
WHERE = "(id) => { const at = kilo.cy.getElementById(id).renderedPosition(); return [at.x, at.y]; }"
FRAMES = """async () => {
  const times = [];
  let last = performance.now();
  for (let count = 0; count < 60; count += 1) {
    kilo.cy.panBy({ x: 3, y: 2 });
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - last);
    last = now;
  }
  return times.sort((one, other) => one - other);
}"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_page(tmp_path_factory.mktemp("example"))


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A tab in which nothing may be asked for but the page, and no error may happen."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    tab = context.new_page()
    said: list[str] = []
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda request: said.append(request.url) if said_of(request.url) else None)
    yield tab
    context.close()
    assert said == []


def said_of(url: str) -> bool:
    return not (url.startswith("file:") and url.endswith("/kilo.html"))


def opened(page: Page, path: Path) -> Page:
    page.goto(path.as_uri())
    page.wait_for_function("() => window.kilo !== undefined")
    return page


def click(page: Page, thing: str) -> None:
    """Click where the picture shows a node, a peer or a location."""
    x, y = page.evaluate(WHERE, thing)
    page.locator("#canvas").click(position={"x": x, "y": y})


def test_a_click_tells_all_of_a_node(page: Page, example: Path) -> None:
    opened(page, example)
    click(page, "node gcp-1")
    panel = page.locator("#panel")
    panel.locator("h2", has_text="gcp-1").wait_for()
    text = panel.inner_text()
    assert "leader" in text
    assert "kilo.squat.ai/force-endpoint" in text or "kilo.squat.ai/endpoint" in text
    assert "[Interface]\nListenPort = 51820" in text
    assert "gcp-1, ready" in page.locator("#news").inner_text()


def test_a_network_of_machines_alone_is_told_in_its_own_words(page: Page, tmp_path: Path) -> None:
    folder = str(tmp_path / "home")
    for command in (
        ("init", folder, "--pool", "10.73.5.0/24"),
        ("peer", "add", "office", "-f", folder, "--endpoint", "192.0.2.7:51820", "--relay"),
        ("peer", "add", "laptop", "-f", folder),
        ("peer", "add", "phone", "-f", folder),
    ):
        assert kgctl_(*command).code == 0
    path = tmp_path / "kilo.html"
    path.write_text(kgctl_("graph", "-o", "html", "-f", folder).stdout)
    opened(page, path)
    everything = """() => document.body.innerText + [...document.querySelectorAll("[aria-label]")]
      .map((one) => one.getAttribute("aria-label")).join(" ")"""
    nothing_selected = page.evaluate(everything)
    page.locator("#search").fill("lap")
    page.locator("#list button").first.click()
    assert page.locator("#panel h2").first.inner_text() == "laptop"
    for text in (nothing_selected, page.evaluate(everything)):
        assert "machine" in text
        assert re.findall(r"(?i)\b(?:kilo|nodes?|segments?|leaders?|clusters?)\b", text) == []


def test_a_search_finds_by_address_and_by_name(page: Page, example: Path) -> None:
    opened(page, example)
    page.locator("#search").fill("HOME-")
    names = page.locator("#list button")
    assert names.all_text_contents() == ["home-nas ◆", "home-pi", "home-tv stale"]
    page.locator("#search").fill("10.42.4.0/24")
    assert names.all_text_contents() == ["edge-1 ◆"]
    names.first.click()
    assert page.locator("#panel h2").first.inner_text() == "edge-1"
    page.locator("#search").fill("nothing of the kind")
    assert "No matches." in page.locator("#list").inner_text()


def test_a_path_leads_through_the_leaders(page: Page, example: Path) -> None:
    opened(page, example)
    click(page, "node aws-2")
    page.locator("#path").click()
    click(page, "node gcp-2")
    assert page.locator("#panel ol li").all_inner_texts() == ["aws-2", "aws-1", "gcp-1", "gcp-2"]
    assert page.evaluate("() => kilo.cy.edges('.path').length") == 3
    click(page, "node aws-3")
    assert page.locator("#panel ol li").all_inner_texts() == ["aws-2", "aws-3"]
    click(page, "node aws-4")
    assert "No path: one of the two is not ready." in page.locator("#panel").inner_text()


def hops_of_kgctl(start: str, end: str) -> list[str]:
    """Return the machines that ``kgctl path`` tells of the way there."""
    there = kgctl_("--example", "path", start, end).stdout.partition("there:")[2]
    steps = re.findall(r"^  \d+\. (.+?) -> (.+?):", there.partition("back:")[0], re.MULTILINE)
    return [name.removeprefix("peer ") for name in (steps[0][0], *(step[1] for step in steps))]


PAIRS = [
    ("node aws-2", "node home-pi"), ("node aws-1", "node gcp-1"), ("node gcp-2", "peer laptop"),
    ("peer laptop", "node gcp-2"), ("peer laptop", "peer office"), ("node aws-2", "node aws-3"),
    ("node edge-1", "node fsn1-1"), ("peer phone", "node edge-1"),
]  # fmt: skip


def test_paths_are_those_of_kgctl_path(page: Page, example: Path) -> None:
    opened(page, example)
    for start, end in PAIRS:
        page.keyboard.press("Escape")
        page.evaluate("(id) => kilo.select(id)", start)
        page.locator("#path").click()
        page.evaluate("(id) => kilo.select(id)", end)
        shown = page.locator("#panel ol li").all_inner_texts()
        assert shown == hops_of_kgctl(start.split()[1], end.split()[1])


def test_locations_collapse_and_expand(page: Page, example: Path) -> None:
    opened(page, example)
    page.get_by_role("button", name="Collapse all").click()
    assert page.evaluate("() => kilo.cy.nodes('.bubble').length") == 6
    click(page, "location home")
    assert "1 stale" in page.locator("#panel").inner_text()
    page.locator("#toggle").click()
    assert page.evaluate("() => kilo.cy.getElementById('node home-pi').length") == 1
    assert page.evaluate("() => kilo.cy.getElementById('node gcp-1').length") == 0


def test_it_works_with_the_keyboard_alone(page: Page, example: Path) -> None:
    opened(page, example)
    page.keyboard.press("/")
    page.keyboard.type("gcp-2")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#panel h2").first.inner_text() == "gcp-2"
    assert page.evaluate("() => document.activeElement.dataset.id") == "node gcp-2"
    page.locator("#canvas").focus()
    before = page.evaluate("() => [kilo.cy.pan().x, kilo.cy.zoom()]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    after = page.evaluate("() => [kilo.cy.pan().x, kilo.cy.zoom()]")
    assert after[1] > before[1]
    assert after[0] != before[0]
    page.keyboard.press("Escape")
    assert page.locator("#panel h2").inner_text() == "Details"


def test_findings_are_those_of_check(page: Page, example: Path) -> None:
    opened(page, example)
    page.locator("#findings-button").click()
    text = page.locator("#panel").inner_text()
    assert "KG" in text
    page.locator("#panel button", has_text="Show").first.click()
    page.locator("#panel h3", has_text="Findings").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding(
    chromium: Browser, example: Path, npm_files: Path, scheme: str
) -> None:
    # axe is put in from outside, which the page's own policy would not allow
    context = chromium.new_context(bypass_csp=True, color_scheme=scheme)  # type: ignore[arg-type]
    tab = opened(context.new_page(), example)
    tab.add_script_tag(path=npm_files / "axe-core" / "axe.min.js")
    for look in ("null", "'node gcp-1'", "'node home-tv'", "'findings'"):
        tab.evaluate(f"() => kilo.select({look}, false)")
        found = tab.evaluate("async () => (await axe.run()).violations")
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], look
    context.close()


def test_a_hostile_name_stays_text(page: Page, tmp_path: Path) -> None:
    opened(page, make_page(tmp_path, hostile()))
    assert page.evaluate("() => window.hacked") is None
    shown = ATTACK.replace("\u2028", "\\u2028")
    page.locator("#search").fill("onerror")
    page.locator("#list button").first.click()
    page.evaluate("(id) => kilo.select(id)", f"node {shown}")
    assert page.locator("#panel h2").first.inner_text() == shown
    assert page.locator("script").count() == 3
    assert page.locator("img").count() == 0
    page.get_by_role("button", name="Findings").click()
    assert page.evaluate("() => window.hacked") is None


def test_no_secret_gets_into_a_page(tmp_path: Path) -> None:
    text = make_page(tmp_path, hostile()).read_text(encoding="utf-8")
    assert "secretive" in text
    assert PRESHARED not in text
    assert "PresharedKey" not in text.partition('id="data">')[2].partition("</script>")[0]


def test_three_thousand_nodes_do_not_stutter(page: Page, tmp_path: Path) -> None:
    """How long a frame takes is printed, and held to nothing: that is the machine's."""
    opened(page, make_page(tmp_path, fleet(3000, regions=12)))
    assert page.evaluate("() => kilo.cy.nodes('.bubble').length") == 12
    collapsed = page.evaluate(FRAMES)
    page.get_by_role("button", name="Expand all").click()
    assert page.evaluate("() => kilo.cy.nodes('.node').length") == 3000
    expanded = page.evaluate(FRAMES)
    for name, times in (("collapsed", collapsed), ("expanded", expanded)):
        print(f"3,000 nodes, {name}: median frame {times[30]:.0f} ms, longest {times[-1]:.0f} ms")
    page.locator("#search").fill("node-02999")
    page.locator("#list button").first.click()
    assert page.locator("#panel h2").first.inner_text() == "node-02999"


def test_the_library_is_the_one_that_npm_serves(npm_files: Path) -> None:
    ours = (VENDOR / "cytoscape.min.js").read_bytes()
    assert ours == (npm_files / "cytoscape" / "dist" / "cytoscape.min.js").read_bytes()
    licence = npm_files / "cytoscape" / "LICENSE"
    assert (VENDOR / "cytoscape.LICENSE").read_bytes() == licence.read_bytes()


def test_the_library_has_its_checksum() -> None:
    checksum = (VENDOR / "cytoscape.sha512").read_text(encoding="ascii").split()[0]
    assert hashlib.sha512((VENDOR / "cytoscape.min.js").read_bytes()).hexdigest() == checksum
