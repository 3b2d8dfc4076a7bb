"""``kgctl drift``: which interface is meant, and its exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.recorded import kgctl

if TYPE_CHECKING:
    from pathlib import Path

OWN = "QHWPVzC1HomnQbUW8kWPCvgVPz4aG7+QGXvlQ3yXrk8="
"""The key of edge-1."""
OTHER = "XzFVuRNaoGx1A/INlJld+7pG7yI4rdwNHVpu7ItL0UE="
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="


def _interface(name: str, key: str) -> str:
    return "\t".join((name, SECRET, key, "51820", "off")) + "\n"


@pytest.mark.parametrize(
    ("dump", "arguments", "code", "said"),
    [
        (_interface("kilo0", OWN), [], 1, "- peer phone: missing"),
        (_interface("wg0", OTHER) + _interface("kilo0", OWN), [], 1, "differs in 7 places"),
        (_interface("wg0", OTHER) + _interface("kilo0", OWN), ["-i", "wg0"], 1, f"key: {OTHER}"),
        (_interface("wg0", OTHER) + _interface("wg1", OTHER), [], 2, "there are: wg0, wg1"),
        (_interface("kilo0", OWN), ["-i", "wg9"], 2, "there are: kilo0"),
        (_interface("kilo0", OWN) + "kilo0\tx\n", [], 2, "line 2: wg writes no line of 2 fields"),
        ("", [], 2, "is empty"),
        (SECRET, [], 2, "line 1: neither a section"),
        (_interface("kilo0", OWN), ["--nonsense"], 2, "--nonsense"),
    ],
)
def test_the_exit_code_is_the_answer(
    dump: str, arguments: list[str], code: int, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "dump"
    file.write_text(dump)
    done = kgctl("--example", "drift", "edge-1", "--dump", str(file), *arguments)
    assert done.code == code
    assert said in done.stdout + done.stderr
    assert SECRET[:8] not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("aws-2", "leads no segment"),
        ("10.5.0.1", "did not find any node, peer or IP address"),
        ("home-tv", "heartbeat 3h old"),
        ("edge1", 'did you mean "edge-1"?'),
    ],
)
def test_only_a_leader_or_a_peer_has_wireguard(name: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "dump"
    file.write_text(_interface("kilo0", OWN))
    done = kgctl("--example", "drift", name, "--dump", str(file))
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_file_of_kgctls_is_as_it_should_be_in_both_forms(tmp_path: Path) -> None:
    file = tmp_path / "laptop.conf"
    for form in ("wireguard", "wg-quick"):
        text = kgctl("--example", "showconf", "peer", "laptop", "-o", form).stdout
        kept = [line for line in text.splitlines() if not line.startswith(("Address", "#"))]
        file.write_text("\n".join(kept) + "\n")
        done = kgctl("--example", "drift", "laptop", "--dump", str(file))
        assert done.stdout == "laptop is as it should be, with 7 peers\n", form
    assert kgctl("--example", "drift", "laptop", "--dump", str(tmp_path / "no")).code == 2
