"""What a list and a streaming list of nodes cost the API server.

``python -m bench.streaming [NODES [CLIENTS [RUNS]]]`` (5000, 1, 3): before each request the server
starts again. The figures are the medians of: the seconds until the last of so many clients at once
has everything; the processor seconds of the server; its peak memory above what it took before; the
bytes of one answer. Servers without streaming lists refuse them, which is printed.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import ssl
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.cluster import started_server
from tests.apiserver.fleet import fleet

if TYPE_CHECKING:
    from tests.apiserver.server import ApiServer

NODES = "/api/v1/nodes"
JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
STREAM = (
    "watch=true&allowWatchBookmarks=true&timeoutSeconds=60"
    "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
)
END = b"k8s.io/initial-events-end"
TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{40,}")  # of the next page: JSON in Base64
HEAD = 400
"""Bytes of a page within which its token is."""


class Request(NamedTuple):
    """One way to get all nodes."""

    name: str
    query: str
    accept: str

    @property
    def streams(self) -> bool:
        """Whether it is a streaming list."""
        return self.query == STREAM


REQUESTS = (
    Request("list in pages, protobuf", "limit=500", PROTOBUF),
    Request("list in pages, JSON", "limit=500", JSON),
    Request("list without pages, protobuf", "", PROTOBUF),
    Request("list of any age, protobuf", "limit=500&resourceVersion=0", PROTOBUF),
    Request("streaming list, protobuf", STREAM, f"{PROTOBUF};stream=watch"),
    Request("streaming list, JSON", STREAM, JSON),
)


class Cost(NamedTuple):
    """The figures of one run: seconds, seconds, bytes, bytes."""

    wall: float
    cpu: float
    memory: float
    size: float


class Reader:
    """Reads all nodes over a connection of its own, and decodes nothing."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._token = server.users.admin_token

    def read(self, request: Request) -> int:
        """Return the bytes of all answers together."""
        context = ssl.create_default_context(cafile=str(self._server.ca))
        port = int(self._server.url.rpartition(":")[2])
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=120, context=context)
        with contextlib.closing(connection):
            if request.streams:
                return self._streamed(connection, request)
            size = 0
            query = request.query
            while True:
                with self._ask(connection, query, request.accept) as response:
                    page = response.read()
                size += len(page)
                token = TOKEN.search(page[:HEAD])
                if token is None:
                    return size
                query = f"{request.query}&continue={token.group().decode()}"

    def _streamed(self, connection: http.client.HTTPSConnection, request: Request) -> int:
        size, tail = 0, b""
        with self._ask(connection, request.query, request.accept) as response:
            while data := response.read1(1 << 16):
                size += len(data)
                if END in tail + data:
                    return size
                tail = data[-len(END) :]
        raise SystemExit("the streaming list ended before it was complete")

    def _ask(
        self, connection: http.client.HTTPSConnection, query: str, accept: str
    ) -> http.client.HTTPResponse:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": accept,
            "Accept-Encoding": "identity",
        }
        connection.request("GET", f"{NODES}?{query}", headers=headers)
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise RefusedError(f"{response.status}: {response.read(300)!r}")
        return response


class RefusedError(Exception):
    """The server does not answer this request."""


def main() -> None:
    given = [int(one) for one in sys.argv[1:]]
    nodes, clients, runs = (*given, *(5000, 1, 3)[len(given) :])
    with started_server("make apiserver-current") as (server, _):
        server.apply(fleet(nodes))
        version = server.request("GET", "/version")["gitVersion"]
        print(f"{version}, {nodes:,} nodes, {clients} at once, {runs} runs")
        for request in REQUESTS:
            print(line(server, request, nodes, clients, runs), flush=True)


def line(server: ApiServer, request: Request, nodes: int, clients: int, runs: int) -> str:
    """Return the figures of a request as text."""
    try:
        costs = [cost(server, request, nodes, clients) for _ in range(runs)]
    except RefusedError as error:
        return f"{request.name:30} refused with {str(error)[:3]}"
    wall, cpu, memory, size = (statistics.median(one) for one in zip(*costs, strict=True))
    return (
        f"{request.name:30} {wall:6.2f} s  {cpu:6.2f} s of the server's processor  "
        f"{memory / 2**20:5.0f} MiB  {size / 1e6:6.1f} MB"
    )


def cost(server: ApiServer, request: Request, nodes: int, clients: int) -> Cost:
    """Start the server again, and measure the request."""
    server.stop()
    server.start()
    reader = Reader(server)
    cached = Request("", "resourceVersion=0", PROTOBUF)
    while reader.read(cached) < 1000 * nodes:  # the watch cache is not full
        time.sleep(0.2)
    time.sleep(3)
    process = process_of(server)
    (process / "clear_refs").write_text("5")  # the peak counts from now on
    before, cpu = status(process, "VmRSS"), processor_seconds(process)
    start = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        sizes = list(pool.map(reader.read, [request] * clients))
    wall = time.monotonic() - start
    peak = status(process, "VmHWM")
    return Cost(wall, processor_seconds(process) - cpu, peak - before, sizes[0])


def process_of(server: ApiServer) -> Path:
    """Return the folder in /proc of the kube-apiserver that listens for ``server``."""
    port = f"--secure-port={server.url.rpartition(':')[2]}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                argv = (folder / "cmdline").read_bytes().split(b"\0")
                if argv[0].endswith(b"/kube-apiserver") and port in argv:
                    return folder
    raise SystemExit(f"no kube-apiserver with {port.decode()}")


def status(process: Path, name: str) -> int:
    """Return an amount of memory of a process in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", (process / "status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1)) << 10


def processor_seconds(process: Path) -> float:
    """Return the processor seconds of a process so far."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
