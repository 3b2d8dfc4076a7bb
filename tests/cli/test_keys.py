"""Keys, held against those of ``wg``."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kgctl.wireguard.keys import (
    KeyFileError,
    PrivateKey,
    generate_preshared_key,
    read_private_key,
    write_key,
)

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "6H279hjgTPSDUjl110oRAXtMDHwfHCOu2eDvljz5N2Y="


def _run(*argv: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, input=given, capture_output=True, text=True, check=False)


def _kgctl(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return _run(sys.executable, "-m", "kgctl", *arguments, given=given)


@pytest.mark.needs("wg")
def test_wg_takes_our_keys_and_we_take_its() -> None:
    ours, theirs = _kgctl("genkey").stdout, _run("wg", "genkey").stdout
    for key in (ours, theirs):
        expected = _run("wg", "pubkey", given=key)
        assert expected.returncode == 0
        assert _kgctl("pubkey", given=key).stdout == expected.stdout
    assert len(_kgctl("genpsk").stdout) == len(_run("wg", "genpsk").stdout) == 45


@pytest.mark.needs("wg")
@pytest.mark.parametrize("given", ["", "x", SECRET[:-1], SECRET * 2, "é" * 44])
def test_what_wg_refuses_we_refuse_too(given: str) -> None:
    assert _run("wg", "pubkey", given=given).returncode == 1
    refused = _kgctl("pubkey", given=given)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("given", [SECRET, f"{SECRET}\n", f"{SECRET}  \n\n"])
def test_white_space_after_a_key_does_not_count(given: str) -> None:
    assert len(_kgctl("pubkey", given=given).stdout) == 45


def test_keys_are_new_and_clamped() -> None:
    keys = [PrivateKey.generate() for _ in range(20)]
    assert len({key.raw for key in keys}) == 20
    assert all(key.raw[0] & 7 == 0 and key.raw[31] & 192 == 64 for key in keys)
    assert len({generate_preshared_key().raw for _ in range(20)}) == 20


def test_a_private_key_has_no_text() -> None:
    key = PrivateKey.parse(SECRET)
    assert key is not None
    for shown in (str(key), repr(key), f"{key!r}", repr({"key": key})):
        assert SECRET[:8] not in shown


def test_a_key_file_is_for_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    path, key = tmp_path / "laptop.key", PrivateKey.generate()
    write_key(path, key)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600  # noqa: PTH116
    assert read_private_key(path) == key
    with pytest.raises(KeyFileError, match="never overwritten"):
        write_key(path, PrivateKey.generate())
    assert read_private_key(path) == key


def test_an_error_never_shows_what_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.key"
    path.write_text(SECRET[:-2])
    with pytest.raises(KeyFileError) as raised:
        read_private_key(path)
    assert SECRET[:8] not in str(raised.value)


def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    for mode, warned in ((0o644, True), (0o600, False)):
        path = tmp_path / f"{mode:o}.key"
        path.touch(mode=mode)
        with path.open("w") as file:
            run = subprocess.run(
                [sys.executable, "-m", "kgctl", "genkey"],
                stdout=file, stderr=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
        assert ("others can read" in run.stderr) is warned
