"""``kgctl serve``: who gets an answer, and which."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.browser.clusters import ATTACK, PRESHARED, hostile
from tests.cli.quiet import QuietServer, node
from tests.cli.served import fetch, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


def test_heartbeats_grow_older_while_nothing_happens(tmp_path: Path) -> None:
    with QuietServer([node("a-1", 2)]) as server:
        options = ("--kubeconfig", str(server.kubeconfig(tmp_path)))
        with served(*options, "serve") as url:
            first = numbers(fetch(f"{url}metrics")[1])
            page = json.loads(fetch(f"{url}data")[1])
            time.sleep(3)
            later = numbers(fetch(f"{url}metrics")[1])
            age = "kilo_node_heartbeat_age_seconds", "a-1"
            assert 2.5 < later[age] - first[age] < 120
            assert later["kilo_reachable", ""] == 1
            same = json.loads(fetch(f"{url}data?since={page['version']}")[1])
            assert set(same) == {"beats", "elapsed", "silence"}
            (beat,) = same["beats"]
            assert beat + same["elapsed"] >= page["areas"][0]["things"][0]["beat"] + 2

            server.away.set()
            while numbers(fetch(f"{url}metrics")[1])["kilo_reachable", ""] == 1:
                time.sleep(0.1)
            gone = numbers(fetch(f"{url}metrics")[1])
            assert gone["kilo_nodes_ready", ""] == 1  # judged as of the last word
            heard = gone["kilo_read_timestamp_seconds", ""]
            time.sleep(1.2)  # until another page may be made
            told = json.loads(fetch(f"{url}data?since={page['version']}")[1])
            assert told["away"]
            assert told["trouble"]
            assert told["silence"] == pytest.approx(time.time() - heard, abs=20)
            again = json.loads(fetch(f"{url}data?since={told['version']}")[1])
            assert "areas" not in again  # that it lasts is no news


def until(answer: Callable[[], str]) -> str:
    """Return the first answer that is not empty: a busy machine may look again late."""
    deadline = time.monotonic() + 60
    while not (text := answer()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return text


def test_a_file_that_cannot_be_read_any_more_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, hostile())
    with served("-f", str(file), "--at", "newest", "serve", "--interval", "1") as url:
        version = json.loads(fetch(f"{url}data")[1])["version"]
        file.unlink()
        told = json.loads(until(lambda: fetch(f"{url}data?since={version}")[1]))
        assert told["trouble"].startswith("cannot read")
        assert not told["ticks"]  # at a time that is given
        assert numbers(fetch(f"{url}metrics")[1])["kilo_reachable", ""] == 0
