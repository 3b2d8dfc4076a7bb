"""``kgctl genkey``, ``pubkey`` and ``genpsk``, compared with those of ``wg``."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "6H279hjgTPSDUjl110oRAXtMDHwfHCOu2eDvljz5N2Y="
ZERO, ONES = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (0, 255))
UNCLAMPED = base64.b64encode(bytes(range(7, 39))).decode()


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
@pytest.mark.parametrize(
    "given",
    [
        SECRET,
        f"{SECRET}\n",
        f"{SECRET} \t\r\n\v\f\n",
        f"{SECRET}\0\0",
        f"{SECRET}{' ' * 5000}",
        ZERO,
        ONES,
        UNCLAMPED,
    ],
)
def test_what_wg_takes_we_take_as_well(given: str) -> None:
    expected = _run("wg", "pubkey", given=given)
    assert expected.returncode == 0
    ours = _kgctl("pubkey", given=given)
    assert (ours.returncode, ours.stdout, ours.stderr) == (0, expected.stdout, "")


@pytest.mark.needs("wg")
@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        SECRET[:-1],
        SECRET[:-1] + "\n=",
        SECRET * 2,
        f" {SECRET}",
        f"\n{SECRET}",
        f"{SECRET} x",
        f"{SECRET}{' ' * 5000}x",
        f"{SECRET[:20]}\n{SECRET[20:]}",
        SECRET.replace("Y=", "Z="),  # the same bytes to most decoders
        SECRET.replace("+", "-").replace("/", "_").replace("6", "-"),
        "é" * 44,
        "\0" * 44,
    ],
)
def test_what_wg_refuses_we_refuse_in_one_line(given: str) -> None:
    assert _run("wg", "pubkey", given=given).returncode == 1
    refused = _kgctl("pubkey", given=given)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "stdin does not hold a private key: base64 of 32 bytes, as kgctl genkey prints it\n"
    )


def test_keys_are_never_repeated_and_no_argument_is_taken() -> None:
    assert len({_kgctl(name).stdout for name in ("genkey", "genkey", "genpsk", "genpsk")}) == 4
    for name in ("genkey", "genpsk", "pubkey"):
        refused = _kgctl(name, SECRET)
        assert (refused.returncode, refused.stdout) == (1, "")


@pytest.mark.parametrize("command", ["genkey", "genpsk"])
@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o604, True), (0o600, False)])
def test_a_file_that_others_can_read_is_warned_of(
    tmp_path: Path, command: str, mode: int, warned: bool
) -> None:
    path = tmp_path / "key"
    path.touch()
    path.chmod(mode)
    for argv in ([sys.executable, "-m", "kgctl"], ["wg"]):
        if argv == ["wg"] and not any(
            os.access(f"{place}/wg", os.X_OK) for place in os.get_exec_path()
        ):
            continue
        with path.open("w") as file:
            run = subprocess.run(
                [*argv, command], stdout=file, stderr=subprocess.PIPE, text=True, check=True
            )
        assert bool(run.stderr) is warned
        assert not warned or "umask to 077" in run.stderr
        assert len(path.read_text()) == 45


PEER_FILE = ["showconf", "peer", "laptop", "-o"]
PRINTING = [
    ([*PEER_FILE, "wg-quick", "--private-key", "KEY"], True),
    ([*PEER_FILE, "networkd", "--private-key", "KEY"], True),
    ([*PEER_FILE, "nmconnection", "--private-key", "KEY"], True),
    ([*PEER_FILE, "qr", "--private-key", "KEY", "--only", "home"], True),
    ([*PEER_FILE, "wg-quick", "--only", "home"], False),
    (["showconf", "peer", "office"], True),  # its preshared key
    (["showconf", "peer", "office", "--as-peer"], True),
    (["showconf", "peer", "office", "--as-peer", "-o", "json"], True),
    (["showconf", "peer", "laptop"], False),
    (["showconf", "node", "edge-1"], True),  # that of the office
    (["showconf", "node", "edge-1", "--as-peer"], False),
    (["peer", "add", "new", "--preshared-key", "--dry-run=client", "-o", "yaml"], True),
    (["peer", "add", "new", "--dry-run=client", "-o", "yaml"], False),
]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600])
@pytest.mark.parametrize(("arguments", "secret"), PRINTING, ids=lambda one: str(one)[:60])
def test_whatever_prints_a_secret_warns_as_genkey_does(
    tmp_path: Path, arguments: list[str], secret: bool, mode: int
) -> None:
    key, path = tmp_path / "laptop.key", tmp_path / "out"
    key.write_text(f"{SECRET}\n")
    path.touch()
    path.chmod(mode)
    words = [str(key) if word == "KEY" else word for word in arguments]
    with path.open("w") as file:
        run = subprocess.run(
            [sys.executable, "-m", "kgctl", "--example", *words],
            stdout=file, stderr=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    assert ("others can read" in run.stderr) is (secret and mode != 0o600)
    assert path.stat().st_size
    assert SECRET not in run.stderr


def test_a_pipe_is_not_warned_of() -> None:
    assert _kgctl("--example", "showconf", "peer", "office").stderr == ""


def test_a_closed_stdin_is_no_key() -> None:
    script = f"exec {sys.executable} -m kgctl pubkey <&-"
    refused = _run("sh", "-c", script)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("stdin does not hold a private key")
