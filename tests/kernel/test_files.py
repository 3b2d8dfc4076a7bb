"""Files of kgctl's on the kernel: wg-quick up and down, and what drift and status make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.site import ADDRESS, POD, Site, far_node
from tests.network.tunnel import KeyPair, preshared_key

if TYPE_CHECKING:
    from pathlib import Path

NAME = "kgctl"


@pytest.fixture
def file(site: Site) -> Path:
    """The wg-quick file of the host, which is a peer of the cluster."""
    site.publish(site.own_peer(allowedIPs=[ADDRESS]))
    site.publish(far_node("fra-1", 2, "[2001:db8:20::20]:51820", KeyPair.generate().public))
    done = site.kgctl(
        "showconf", "peer", "laptop", "-o", "wg-quick", "--private-key", str(site.key)
    )
    assert done.code == 0, done.stderr
    return site.host.write(f"{NAME}.conf", done.stdout)


def test_wg_quick_up_drift_and_down(site: Site, file: Path) -> None:
    before = site.traces()
    site.host.run("wg-quick", "up", str(file), timeout=60)
    assert site.reaches(POD)
    assert site.drift(site.host.run("wg", "show", "all", "dump").stdout)[1] <= {"handshake"}
    ams = site.keys["ams-1"].public
    site.host.run("wg", "set", NAME, "peer", ams, "allowed-ips", "10.42.0.0/24",
                  "preshared-key", "/dev/stdin", stdin=preshared_key())  # fmt: skip
    code, kinds = site.drift(site.host.run("wg", "show", "all", "dump").stdout)
    assert code == 1
    assert {"allowed-ips", "preshared-key"} <= kinds
    site.host.run("wg-quick", "down", str(file), timeout=60)
    assert site.traces() == before


def test_syncconf_takes_changes_back(site: Site, file: Path) -> None:
    """Kernel and wg 1.0.20210914: a session goes on, and what is not in the file goes."""
    site.host.run("wg-quick", "up", str(file), timeout=60)
    assert site.reaches(POD)
    ams = site.keys["ams-1"].public
    session = site.device(NAME)[ams].latest_handshake
    other = KeyPair.generate().public
    site.host.run("wg", "set", NAME, "peer", other, "allowed-ips", "10.98.0.0/16", "peer", ams,
                  "allowed-ips", "10.97.0.0/16")  # fmt: skip
    assert {"extra", "allowed-ips"} <= site.drift(site.host.run("wg", "showconf", NAME).stdout)[1]
    site.host.run("bash", "-c", f"wg syncconf {NAME} <(wg-quick strip {file})")
    assert site.drift(site.host.run("wg", "show", "all", "dump").stdout)[1] <= {"handshake"}
    assert site.device(NAME)[ams].latest_handshake == session
    site.host.run("wg-quick", "down", str(file), timeout=60)


def test_all_traffic_by_wg_quick(site: Site, file: Path) -> None:
    """``--gateway``: a mark, a table and rules, and none of them is left."""
    before = site.traces()
    done = site.kgctl("showconf", "peer", "laptop", "-o", "wg-quick", "--private-key",
                      str(site.key), "--gateway", "ams-1")  # fmt: skip
    assert done.code == 0, done.stderr
    file.write_text(done.stdout)
    site.host.run("wg-quick", "up", str(file), timeout=60)
    assert site.host.run("wg", "show", NAME, "fwmark").stdout.strip() == "0xca6c"
    assert site.reaches(POD)
    site.host.run("wg-quick", "down", str(file), timeout=60)
    assert site.traces() == before
