"""``kgctl serve``: access control and answers."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kgctl.cli.commands.serve_web import CONNECTIONS, REQUEST_LIMIT, Application, _Secret, own_hosts
from tests.browser.clusters import ATTACK, PRESHARED, hostile
from tests.support.quiet import QuietServer, node
from tests.support.served import fetch, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kgctl.cli.commands.serve_live import Network


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
    assert fetch(f"http://{parts.netloc}/{path}") == (404, "not found\n")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:80"])
def test_another_host_name_is_refused(url: str, host: str) -> None:
    assert fetch(url, Host=host) == (403, "unknown host\n")


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


def test_metrics_only_has_no_page_and_takes_any_host_beyond_loopback(tmp_path: Path) -> None:
    file = written(tmp_path, hostile())
    source = ("-f", str(file), "--at", "newest")
    with served(*source, "serve", "--metrics-only", "--listen", "0.0.0.0:0") as address:
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
        (["--listen", "0.0.0.0:1"], "--listen needs --metrics-only"),
        (["--metrics-only", "--listen", "9586"], "is not an address and port"),
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


def open_request(url: str) -> socket.socket:
    """Begin a request that is never finished."""
    parts = urlsplit(url)
    wire = socket.create_connection((str(parts.hostname), int(parts.port or 80)))
    wire.sendall(b"GET / HTTP/1.1\r\nHost: ")
    return wire


def test_requests_that_are_never_finished_shut_nobody_out() -> None:
    with served("--example", "serve", "--metrics-only") as url, ExitStack() as stack:
        wires = [stack.enter_context(open_request(url)) for _ in range(300)]
        for _ in range(3):
            start = time.monotonic()
            assert fetch(url)[0] == 200
            assert time.monotonic() - start < 5
        ended = sum(is_ended(wire, 2) for wire in wires)
        assert ended >= 300 - CONNECTIONS


def test_a_request_has_to_arrive_in_time_also_byte_by_byte() -> None:
    with served("--example", "serve", "--metrics-only") as url, open_request(url) as wire:
        start = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - start < 3 * REQUEST_LIMIT and not is_ended(wire, 0.5):
                wire.sendall(b"a")
        assert REQUEST_LIMIT - 1 < time.monotonic() - start < 2 * REQUEST_LIMIT


def is_ended(wire: socket.socket, seconds: float) -> bool:
    """Tell whether the other end closes a connection within so many seconds."""
    wire.settimeout(seconds)
    try:
        return wire.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_clients_that_read_nothing_give_way(large: Path) -> None:
    with served("-f", str(large), "--at", "newest", "serve") as url, ExitStack() as stack:
        parts = urlsplit(url)
        for _ in range(CONNECTIONS + 10):
            wire = stack.enter_context(socket.create_connection((parts.hostname, parts.port)))
            wire.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        # they shut others out for 160 s; a busy machine takes some of these to make the pages
        assert fetch(f"{url}metrics", seconds=90)[0] == 200


def test_of_requests_asked_ahead_one_is_answered() -> None:
    with served("--example", "serve", "--metrics-only") as url:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port), timeout=REQUEST_LIMIT) as wire:
            one = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
            wire.sendall(150 * one)
            taken = b""
            with suppress(ConnectionError):  # a reset, where requests were not even read
                while piece := wire.recv(1 << 16):
                    taken += piece
        assert taken.count(b"HTTP/1.1 200 OK") == 1
        assert taken.count(b"# TYPE kilo_nodes gauge") == 1
        assert fetch(url)[0] == 200


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster whose page has more than a megabyte."""
    kind = {"apiVersion": "v1", "kind": "Node"}
    nodes = [kind | node(f"node-{number}-{'x' * 200}", 2) for number in range(1500)]
    return written(tmp_path_factory.mktemp("large"), nodes)


def test_a_large_answer_takes_no_file(large: Path) -> None:
    command = [sys.executable, "-B", "-m", "kgctl", "-f", str(large), "--at", "newest", "serve"]
    unwritable = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command]
    with subprocess.Popen(unwritable, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            url = process.stdout.readline().decode().strip()
            status, text = fetch(url)
        finally:
            process.terminate()
        said = process.stderr.read().decode()
    assert status == 200
    assert len(text) > 1 << 20
    assert said == "read-only; press Ctrl-C to stop\n"


class Broken:
    """A network with a fault."""

    def __getattr__(self, _name: str) -> Any:
        raise ZeroDivisionError("division by zero")


def test_a_fault_is_told_without_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    application = Application(cast("Network", Broken()), "SECRET")
    application.hosts = None
    said: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/SECRET/metrics"}
    application(environ, lambda status, _headers: said.append(status))  # type: ignore[arg-type]
    assert said == ["500 Internal Server Error"]
    err = capsys.readouterr().err
    assert "internal error: ZeroDivisionError" in err
    assert "SECRET" not in err


def test_the_server_logs_no_token() -> None:
    secret = _Secret("SECRET")
    try:
        raise ValueError("/SECRET/ again")
    except ValueError:
        caught = sys.exc_info()
    record = logging.LogRecord("waitress", 40, "", 0, "serving %s", ("/SECRET/",), caught)
    assert secret.filter(record)
    text = logging.Formatter().format(record)
    assert "SECRET" not in text
    assert text.startswith("serving /TOKEN/")


def test_metrics_on_loopback_are_for_this_machine_alone() -> None:
    with served("--example", "serve", "--metrics-only") as url:
        parts = urlsplit(url)
        assert fetch(url, Host="evil.example") == (403, "unknown host\n")
        assert fetch(url, Host=f"evil.example:{parts.port}")[0] == 403
        assert fetch(url, Host=f"LOCALHOST:{parts.port}")[0] == 200


@pytest.mark.parametrize(
    ("host", "port", "accepted"),
    [
        ("127.0.0.1", 1, "localhost:1"),
        ("127.0.0.2", 1, "127.0.0.2:1"),
        ("::1", 1, "[::1]:1"),
        ("localhost", 80, "localhost"),
    ],
)
def test_names_of_loopback(host: str, port: int, accepted: str) -> None:
    hosts = own_hosts(host, port)
    assert hosts is not None
    assert accepted in hosts
    assert "evil.example" not in hosts
    assert "" not in hosts


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "host.example"])
def test_elsewhere_this_host_may_have_any_name(host: str) -> None:
    assert own_hosts(host, 9586) is None
