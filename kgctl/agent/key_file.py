"""The private key of a node, in the reference's place and format: it is the node's identity."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from kgctl.errors import HostError
from kgctl.files.atomic import make_directory, protect, write_private
from kgctl.mesh.text import printable
from kgctl.wireguard.keys import PrivateKey, read_private_key

if TYPE_CHECKING:
    from pathlib import Path


def node_key(path: Path) -> PrivateKey:
    """Return the key in ``path``, made and written if the file is missing or empty.

    The file has 44 characters of base64, and the mode 0600; a wider mode is narrowed. Unlike
    Kilo's agent, ours never overwrites what it cannot read.

    Raises:
        kgctl.errors.KgctlError: the file cannot be read or written, or holds no key.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return _made(path)
    except OSError as error:
        raise HostError(f"cannot read {_shown(path)}: {error.strerror}") from error
    if not found.st_size:
        return _made(path)
    key = read_private_key(path).clamped()
    if stat.S_IMODE(found.st_mode) & 0o077:
        protect(path, 0o600)
    return key


def _made(path: Path) -> PrivateKey:
    key = PrivateKey.generate()
    if not path.parent.exists():
        make_directory(path.parent)
        protect(path.parent, 0o700)
    write_private(path, key.reveal().encode("ascii"))
    return key


def _shown(path: Path) -> str:
    return printable(str(path))
