"""The key of a node: made once, taken over, and never overwritten."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from kgctl.agent.key_file import node_key
from kgctl.errors import KgctlError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_key_is_made_once_in_the_references_form(tmp_path: Path) -> None:
    path = tmp_path / "kilo" / "key"
    key = node_key(path)
    assert len(path.read_bytes()) == 44
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert node_key(path) == key


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_key_is_taken_over_clamped_and_protected(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(base64.b64encode(bytes(range(255, 223, -1))) + end)
    path.chmod(0o644)
    key = node_key(path)
    assert key == key.clamped()
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_empty_file_gets_a_key_and_any_other_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"")
    node_key(path)
    path.write_text("not a key")
    with pytest.raises(KgctlError, match="holds no WireGuard private key"):
        node_key(path)
    assert path.read_text() == "not a key"
