"""Probes from a machine: ping, a web page, iperf3."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.network.commands import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.network.namespace import Lab, Namespace

PATIENCE = 30.0
"""Seconds for a first answer. WireGuard tries a lost handshake again after 5 s."""
WEB = Path(__file__).with_name("web.py")
FETCH = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=2)
connection.request("GET", "/")
print(connection.getresponse().read().decode())
connection.close()
"""


@dataclass(frozen=True)
class Ping:
    """How many pings were answered, and how fast."""

    sent: int
    received: int
    rtt: float | None
    """Mean round-trip time in ms; None = nothing came back."""

    @property
    def loss(self) -> float:
        """The share of pings that nobody answered, from 0 to 1."""
        return 1 - self.received / self.sent if self.sent else 1.0


def ping(source: Namespace, target: str, count: int = 3, timeout: float = PATIENCE) -> Ping:
    """Ping until ``count`` answers have come or ``timeout`` seconds are over."""
    seconds = str(max(1, round(timeout)))
    argv = ("ping", "-n", "-i", "0.2", "-c", str(count), "-w", seconds, target)
    output = source.run(*argv, timeout=timeout + 5, check=False).stdout
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", output)
    rtt = re.search(r"= [\d.]+/([\d.]+)/", output)
    sent, received = (int(counts[1]), int(counts[2])) if counts else (0, 0)
    return Ping(sent, received, float(rtt[1]) if rtt else None)


def reaches(source: Namespace, target: str, within: float = PATIENCE) -> bool:
    """Tell whether a ping to ``target`` is answered within so many (whole) seconds."""
    return ping(source, target, count=1, timeout=within).received > 0


def unreached(source: Namespace, targets: Iterable[str], within: float = PATIENCE) -> list[str]:
    """Return those of ``targets`` that answer no ping within so many seconds each."""
    return [target for target in targets if not reaches(source, target, within)]


def throughput(
    lab: Lab, client: Namespace, server: Namespace, address: str, seconds: float = 1.0
) -> float:
    """Return the bits per second that arrive at ``address`` of ``server``, by iperf3 (TCP)."""
    lab.start(server, "iperf3", "--server", "--one-off", "--bind", address)
    wanted = ("iperf3", "--json", "--time", f"{seconds:g}", "--client", address)
    deadline = time.monotonic() + PATIENCE
    while True:
        done = client.run(*wanted, timeout=seconds + 20, check=False)
        report = json.loads(done.stdout)
        if "error" not in report:
            return float(report["end"]["sum_received"]["bits_per_second"])
        if time.monotonic() > deadline:
            msg = f"iperf3 from {client.label} to {address}: {report['error']}"
            raise CommandError(msg)
        time.sleep(0.1)


def serve_web(lab: Lab, namespace: Namespace) -> None:
    """Start a web server that tells who asks from which address, on port 80."""
    lab.start(namespace, sys.executable, str(WEB))


def seen_as(namespace: Namespace, address: str, within: float = PATIENCE) -> str:
    """Return the source address that the web server at ``address`` sees us come from.

    Raises:
        CommandError: no answer within so many seconds.
    """
    deadline = time.monotonic() + within
    while True:
        done = namespace.run(sys.executable, "-c", FETCH, address, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
        if time.monotonic() > deadline:
            why = done.stderr.strip().rpartition("\n")[2]
            msg = f"web page at {address} from {namespace.label}: {why}"
            raise CommandError(msg)
        time.sleep(0.2)
