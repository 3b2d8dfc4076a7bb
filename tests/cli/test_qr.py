"""QR codes, read back by a scanner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kgctl.wireguard.formats import TooLargeError, to_picture, to_terminal
from kgctl.wireguard.keys import PrivateKey, write_key
from tests.support.qr import scanned
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from pathlib import Path

QR = ("--example", "showconf", "peer", "phone", "-o", "qr")
LIGHT = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
"""What of the upper and the lower half of a character cell shines, on a dark terminal."""
MODULE = 6  # pixels


def _photographed(terminal: str, path: Path) -> Path:
    """A grey picture of a dark terminal that shows this."""
    rows: list[bytes] = []
    for line in terminal.splitlines():
        for half in (0, 1):
            pixels = bytes(255 * LIGHT[cell][half] for cell in line for _ in range(MODULE))
            rows += [pixels] * MODULE
    header = f"P5 {len(rows[0])} {len(rows)} 255\n".encode()
    path.write_bytes(header + b"".join(rows))
    return path


@pytest.fixture
def options(tmp_path: Path) -> tuple[str, ...]:
    path = tmp_path / "phone.key"
    write_key(path, PrivateKey.generate())
    return ("--private-key", str(path), "--dns", "10.43.0.10", "--only", "home,fsn1")


def _wanted(options: tuple[str, ...]) -> str:
    """The configuration file, without the comments that no phone shows."""
    text = kgctl("--example", "showconf", "peer", "phone", "-o", "wg-quick", *options).stdout
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


@pytest.mark.needs("zbarimg")
def test_a_picture_is_the_file(options: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "phone.png"
    assert kgctl(*QR, *options, "-O", str(path)).code == 0
    assert scanned(path).decode() == _wanted(options)


@pytest.mark.needs("zbarimg")
def test_what_a_terminal_shows_is_the_file(options: tuple[str, ...], tmp_path: Path) -> None:
    shown = kgctl(*QR, *options).stdout
    assert scanned(_photographed(shown, tmp_path / "screen.pgm")).decode() == _wanted(options)


@pytest.mark.needs("zbarimg")
@pytest.mark.parametrize("size", [1, 1000, 2953])
def test_codes_of_any_size_can_be_read(size: int, tmp_path: Path) -> None:
    text = ("# AllowedIPs = 10.42.0.0/24\n" * 200)[:size]
    path = tmp_path / "code.png"
    path.write_bytes(to_picture(text, "png"))
    assert scanned(path).decode() == text
    assert scanned(_photographed(to_terminal(text), tmp_path / "screen.pgm")).decode() == text


def test_one_byte_more_is_too_much() -> None:
    with pytest.raises(TooLargeError, match=r"has 2,954 bytes and a QR code holds 2,953"):
        to_picture("x" * 2954, "png")
