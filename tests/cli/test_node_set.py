"""kgctl node set on files: warnings about networks that are claimed twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recorded import kgctl

CASES = Path(__file__).parents[1] / "diagnosis" / "cases"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("--force-internal-ip", "192.168.1.11/24"), "KG208"),
        (("--force-internal-ip", "10.42.2.9/24"), "KG209"),
        (("--force-internal-ip", "10.4.0.99/24"), "KG211"),
        (("--allowed-location-ips", "192.168.1.0/25"), "KG214"),
        (("--allowed-location-ips", "10.42.0.0/16"), "KG213"),
        (("--force-internal-ip", "192.168.1.77/24"), ""),
        (("--allowed-location-ips", "172.20.0.0/16"), ""),
    ],
)
def test_a_network_that_is_claimed_already_is_warned_of(change: tuple[str, str], code: str) -> None:
    case = str(CASES / "KG208-near-miss.yaml")  # a has 192.168.1.10, b has 192.168.1.11
    answer = kgctl("-f", case, "--at", "1000", "node", "set", "a", *change, "--dry-run=client")
    assert answer.code == 0, answer.stderr
    assert answer.stdout == "node/a annotated (dry run)\n"
    warnings = [line for line in answer.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == (1 if code else 0), answer.stderr
    assert all(f"(kgctl explain {code})" in line for line in warnings)
