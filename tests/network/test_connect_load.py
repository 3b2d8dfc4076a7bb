"""``kgctl connect`` in a large cluster with many changes: its writes and its speed.

``KGCTL_STORM_SECONDS`` and ``KGCTL_SOAK_ROUNDS`` lengthen it (see ``make soak``).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.apiserver.client import Client
from tests.network import tunnel
from tests.network.commands import environment
from tests.network.site import AT_ONCE, NODES, Site, names_of, stranger, within
from tests.network.stream import Pinging
from tests.network.test_connect import POD
from tests.network.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster
    from tests.network.objects import Object
    from tests.network.test_connect import Recorder

STORM_SECONDS = float(os.environ.get("KGCTL_STORM_SECONDS", "8"))
SOAK_ROUNDS = int(os.environ.get("KGCTL_SOAK_ROUNDS", "1000"))
RATE = 200
WRITERS = 4
# KiB that memory may grow after the first tenth; in a short run that is before all caches are full
GROWTH = 1024 if SOAK_ROUNDS >= 10_000 else 8192
OBJECTS = 500


@pytest.fixture
def site(cluster: SmallCluster, api_server: ApiServer) -> Iterator[Site]:
    with Uplink(cluster["laptop"], api_server.url) as uplink:
        yield Site(cluster, api_server, uplink)


class Heartbeats:
    """Writes heartbeats of nodes at a rate; a context manager. ``written`` counts them."""

    def __init__(self, server: ApiServer, names: list[str], rate: float) -> None:
        self.written = 0
        self._server = server
        self._names = names
        self._pause = WRITERS / rate
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(share,)) for share in range(WRITERS)
        ]

    def __enter__(self) -> Heartbeats:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, share: int) -> None:
        names, count = self._names[share::WRITERS], 0
        server = self._server
        with Client(server.url, server.ca, server.users.admin_token) as client:
            due = time.monotonic()
            while not self._stop.is_set():
                seen = str(int(time.time()) + 3600 + count)
                patch = {"metadata": {"annotations": {"kilo.squat.ai/last-seen": seen}}}
                client.patch(f"{NODES}/{names[count % len(names)]}", patch)
                self.written, count = self.written + 1, count + 1
                due = max(due + self._pause, time.monotonic() - 1)
                self._stop.wait(max(0.0, due - time.monotonic()))


def test_a_storm_of_events_costs_no_more_writes_than_there_are_changes(
    site: Site, record_property: Recorder
) -> None:
    crowd = [stranger(number, "zzz") for number in range(20)]
    site.server.apply(crowd)
    site.publish("ams-1", "ams-2")
    laptop = site.laptop
    changes = 0
    monitor = subprocess.Popen(
        laptop.entered("ip", "monitor", "route"),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with site.joined() as connection:
        time.sleep(0.5)
        joined = connection.said("synchronised")
        with Heartbeats(site.server, names_of(crowd), RATE) as storm, Pinging(laptop, POD) as pings:
            start = time.monotonic()
            while time.monotonic() - start < STORM_SECONDS:
                newcomer = stranger(100 + changes, "zzzz")
                site.server.apply([newcomer])
                took = within(AT_ONCE, lambda: len(tunnel.dump(laptop)) == 3)
                site.withdraw(newcomer["metadata"]["name"])
                within(AT_ONCE, lambda: len(tunnel.dump(laptop)) == 2)
                changes += 2
                time.sleep(1)
            seconds = time.monotonic() - start
        assert connection.end() == 0, connection.describe()
    monitor.send_signal(signal.SIGTERM)
    told = monitor.communicate(timeout=60)[0].splitlines()
    wrote = connection.until("wrote to this host")
    record_property("events a second", f"{storm.written / seconds:.0f}")
    record_property("changes", str(changes))
    record_property("device writes", str(wrote["device_writes"]))
    record_property("pings", str(pings.losses))
    record_property("seconds until the last was applied", f"{took:.2f}")
    assert storm.written / seconds > RATE / 4, "this machine is too slow for a storm"
    assert wrote["device_writes"] == len(joined) + changes
    # by the kernel's own account: a newcomer's subnet comes once, and goes once
    assert len([line for line in told if re.search(r"\b10\.200\.1\d\d\.0/24", line)]) == changes
    assert pings.losses.lost == 0


def test_five_hundred_peers(site: Site, record_property: Recorder) -> None:
    site.publish("ams-1")
    site.server.apply([outsider(number) for number in range(500)])
    laptop = site.laptop
    start = time.monotonic()
    with site.connect() as connection:
        connection.until("synchronised", within=60)
        record_property("seconds to join among 500 peers", f"{time.monotonic() - start:.2f}")
        assert len(tunnel.dump(laptop)) == 501
        assert laptop.ip("route").count("10.99.") == 500
        site.server.apply([outsider(500)])
        took = within(AT_ONCE, lambda: "10.99.1.244 " in laptop.ip("route"))
        record_property("seconds until one more was applied", f"{took:.2f}")
        start = time.monotonic()
        assert connection.end() == 0
        record_property("seconds to leave", f"{time.monotonic() - start:.2f}")


def test_an_annotation_full_of_networks(site: Site, record_property: Recorder) -> None:
    """One node claims 15,000 networks, as much as its annotation holds."""
    networks = ",".join(
        f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}/32"
        for number in range(14_000)
    )
    assert len(networks) > 220_000
    site.publish("ams-1")
    site.annotate("ams-1", **{"allowed-location-ips": networks})
    start = time.monotonic()
    with site.connect() as connection:
        connection.until("synchronised", within=60)
        record_property("seconds to join", f"{time.monotonic() - start:.2f}")
        told = connection.until("refused a claim", within=60)
        assert told["reason"] == "that is more than 1,000 networks of one machine"
        granted = site.laptop.ip("route").count("100.64.")
        assert 990 < granted <= 1000
        start = time.monotonic()
        assert connection.end() == 0
        record_property("seconds to leave", f"{time.monotonic() - start:.2f}")


def test_memory_threads_and_files_stay_flat(site: Site, record_property: Recorder) -> None:
    argv = (sys.executable, "-m", "tests.network.soak", str(SOAK_ROUNDS))
    done = site.laptop.run(*argv, timeout=60 + SOAK_ROUNDS / 10)
    report = json.loads(done.stdout.splitlines()[-1])
    record_property("soak", json.dumps(report))
    assert report["failures"] == []
    assert report["writes"] >= SOAK_ROUNDS - 1  # each round had something to do
    early, late = report["early"], report["late"]
    assert late["threads"] == early["threads"]
    assert late["files"] == early["files"]
    assert late["objects"] - early["objects"] < OBJECTS
    assert late["memory"] - early["memory"] < GROWTH


def outsider(number: int) -> Object:
    """Return a Peer that answers nobody."""
    import base64
    import hashlib

    key = base64.b64encode(hashlib.sha256(f"outsider {number}".encode()).digest()).decode()
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": f"outsider-{number}"},
        "spec": {"allowedIPs": [f"10.99.{number // 256}.{number % 256}/32"], "publicKey": key},
    }
