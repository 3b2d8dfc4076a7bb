"""``kgctl pubkey``: the public key of a private one, as ``wg pubkey`` prints it."""

from __future__ import annotations

import sys

import typer

from kgctl.cli.core.output import answer
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.mesh.errors import KgctlError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MAX_INPUT = 1 << 16  # bytes; a key has 44, and what follows may be white space only


class NoKeyError(KgctlError):
    """What came on stdin is no private key."""


@app.command()
@with_shared
def pubkey(shared: Shared) -> None:
    """Print the public key that belongs to the private key on stdin.

    kgctl pubkey < private.key > public.key
    """
    from kgctl.wireguard.keys import parse_private_key

    content = b"" if sys.stdin is None else sys.stdin.buffer.read(_MAX_INPUT + 1)
    key = None if len(content) > _MAX_INPUT else parse_private_key(content)
    if key is None:
        raise NoKeyError(
            "what came on stdin is no private key: base64 of 32 bytes, as kgctl genkey prints it"
        )
    answer(f"{key.public_key()}\n")
