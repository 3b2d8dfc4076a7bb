"""Traffic during other actions, and its losses."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.network.commands import environment

if TYPE_CHECKING:
    from typing import Self

    from tests.network.namespace import Lab, Namespace

INTERVAL = 0.01
"""Seconds between two pings: a gap of that length shows."""

UNDER_WAY = 0.3
"""Seconds that an answer may take."""


@dataclass(frozen=True)
class Losses:
    """What was sent, and what of it never arrived."""

    sent: int
    lost: int


class Pinging:
    """A ping that runs in the background; a context manager. ``losses`` is known at its end."""

    def __init__(self, source: Namespace, target: str) -> None:
        argv = ("ping", "-n", "-i", f"{INTERVAL:g}", target)
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - a pipe would be full soon
        self._process = subprocess.Popen(
            source.entered(*argv), stdout=self._said, env=environment()
        )
        self.losses = Losses(0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it now, and count."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)
        with self._said as said:
            said.seek(0)
            output = said.read()
        sent = re.search(r"(\d+) packets transmitted", output)
        assert sent is not None, output
        answered = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl=", output)}
        # those of the last moment may still be under way, on a machine that has much to do
        counted = max(0, int(sent[1]) - int(UNDER_WAY / INTERVAL))
        self.losses = Losses(int(sent[1]), len(set(range(1, counted + 1)) - answered))


class Datagrams:
    """UDP at a constant rate by iperf3 for some seconds; leaving the context waits for its end.

    200 packets a second, so that a gap of 10 ms shows. They are few and small enough for a socket
    to hold those of two seconds: a busy machine that reads late has lost none of them. The size of
    its buffer is what Linux grants anybody by default, whose kernel doubles it.
    """

    def __init__(
        self, lab: Lab, client: Namespace, server: Namespace, address: str, seconds: int
    ) -> None:
        lab.start(server, "iperf3", "--server", "--one-off", "--bind", address)
        # it exits with 0 as well where nobody listens yet
        wanted = (
            f"while said=$(iperf3 --json -u -b 160K -l 100 -w 400K -t {seconds} -c {address}); "
            """case $said in *'"sum"'*) break ;; esac; do sleep 0.2; done; echo "$said\""""
        )
        self._process = subprocess.Popen(
            client.entered("sh", "-c", wanted),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )
        self._seconds = seconds
        self.losses = Losses(0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        output, _rest = self._process.communicate(timeout=self._seconds + 20)
        start = output.rfind('{\n\t"start"')
        report = json.loads(output[start:])
        assert "sum" in report["end"], report.get("error", output)
        end = report["end"]["sum"]
        self.losses = Losses(end["packets"], end["lost_packets"])
