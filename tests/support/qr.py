"""QR codes, read by a scanner."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def scanned(picture: Path) -> bytes:
    """Return the bytes of the only code in a picture; needs ``zbarimg``."""
    return subprocess.run(
        ["zbarimg", "--quiet", "--raw", "--oneshot", "-Sbinary", "-Sdisable", "-Sqrcode.enable",
         str(picture)],
        stdout=subprocess.PIPE, check=True, timeout=60,
    ).stdout  # fmt: skip
