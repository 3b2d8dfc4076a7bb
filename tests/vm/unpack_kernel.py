"""Unpack the ELF file in a bzImage, which QEMU starts by its PVH note.

    unpack_kernel.py VMLINUZ VMLINUX

The guest would take seconds for it in an emulator. The header is described in the kernel's
Documentation/x86/boot.rst (payload_offset, payload_length).
"""

from __future__ import annotations

import lzma
import struct
import sys
from pathlib import Path


def unpacked(image: bytes) -> bytes:
    """Return the ELF file in a bzImage that is packed with xz, as Debian's are."""
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = ((image[0x1F1] or 4) + 1) * 512 + offset
    kernel = lzma.decompress(image[start : start + length - 4])  # the length of the file follows
    if not kernel.startswith(b"\x7fELF"):
        sys.exit("there is no ELF file in the kernel's image")
    return kernel


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_bytes(unpacked(source.read_bytes()))
