"""``kgctl serve``: who gets an answer, and which."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.browser.clusters import ATTACK, PRESHARED, hostile
from tests.cli.served import fetch, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served("--example", "serve") as address:
        yield address


def numbers(text: str) -> dict[tuple[str, str], float]:
    """Return each sample by its name and its first label."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_page_is_on_this_machine_alone_and_under_a_token(url: str) -> None:
    parts = urlsplit(url)
    assert parts.hostname == "127.0.0.1"
    assert len(parts.path) > 30
    status, text = fetch(url)
    assert status == 200
    assert "connect-src 'self'" in text


@pytest.mark.parametrize("path", ["", "metrics", "data", "AAAA/", "AAAA/metrics"])
def test_without_the_token_there_is_nothing(url: str, path: str) -> None:
    parts = urlsplit(url)
    assert fetch(f"http://{parts.netloc}/{path}") == (404, "there is nothing here\n")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:80"])
def test_another_host_name_is_refused(url: str, host: str) -> None:
    assert fetch(url, Host=host) == (403, "the host is another one\n")


def test_localhost_is_this_host(url: str) -> None:
    assert fetch(url, Host=f"localhost:{urlsplit(url).port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_only_reads(url: str, method: str) -> None:
    assert fetch(url, method)[0] == 405


def test_data_comes_only_when_it_changed(url: str) -> None:
    status, text = fetch(f"{url}data")
    assert status == 200
    assert fetch(f"{url}data?since={json.loads(text)['version']}") == (204, "")


def test_metrics_are_those_of_the_example(url: str) -> None:
    found = numbers(fetch(f"{url}metrics")[1])
    assert found["kilo_nodes", ""] == 11
    assert found["kilo_nodes_ready", ""] == 9
    assert found["kilo_peers", ""] == 4
    assert found["kilo_peers_ready", ""] == 3
    assert found["kilo_node_ready", "aws-4"] == 0
    assert found["kilo_node_heartbeat_age_seconds", "edge-1"] == 17
    assert sum(value for (name, _), value in found.items() if name == "kilo_findings") == 3


def test_metrics_only_has_no_page_and_takes_any_host(tmp_path: Path) -> None:
    file = written(tmp_path, hostile())
    with served("-f", str(file), "--at", "newest", "serve", "--metrics-only") as address:
        status, text = fetch(address, Host="pod.cluster.local")
        assert status == 200
        shown = ATTACK.replace("\u2028", "\\u2028")
        assert numbers(text)["kilo_node_ready", shown] in (0, 1)
        assert PRESHARED not in text
        assert fetch(address.removesuffix("metrics"))[0] == 404


def written(directory: Path, objects: list[dict[str, Any]]) -> Path:
    file = directory / "cluster.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return file


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "0.0.0.0:1"], "--listen goes with --metrics-only"),
        (["--metrics-only", "--listen", "9586"], "is no address and port"),
        (["--metrics-only", "--listen", "192.0.2.1:1"], "cannot listen on 192.0.2.1, port 1"),
    ],
)
def test_what_cannot_be_served_is_said(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "kgctl", "--example", "serve", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert said in done.stderr
