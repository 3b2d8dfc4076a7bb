"""A configuration as a QR code, for the WireGuard apps of phones."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from kgctl.mesh.errors import KgctlError

if TYPE_CHECKING:
    import segno

_MOST = 2953
"""Bytes that the largest QR code holds: ISO/IEC 18004, version 40 with error correction L."""


class TooLargeError(KgctlError):
    """The configuration does not fit into a QR code."""


def to_terminal(text: str) -> str:
    """Return the code of ``text`` as lines of half blocks.

    Raises:
        TooLargeError: it has more bytes than a QR code holds.
    """
    out = io.StringIO()
    _code(text).terminal(out=out, compact=True)
    return out.getvalue()


def to_picture(text: str, kind: str) -> bytes:
    """Return the code of ``text`` as a PNG or SVG file.

    Raises:
        TooLargeError: it has more bytes than a QR code holds.
    """
    out = io.BytesIO()
    _code(text).save(out, kind=kind, scale=4)
    return out.getvalue()


def without_comments(text: str) -> str:
    """Return a configuration without its comments, which no phone shows."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("#"))


def _code(text: str) -> segno.QRCode:
    import segno

    try:
        return segno.make_qr(text, error="L", boost_error=False, encoding="utf-8")
    except segno.DataOverflowError:
        size = len(text.encode())
        raise TooLargeError(
            f"the configuration has {size:,} bytes and a QR code holds {_MOST:,}; leave some "
            "segments and peers out",
            field="qr_code",
            value=size,
        ) from None
