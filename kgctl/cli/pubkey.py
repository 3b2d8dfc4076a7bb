"""``kgctl pubkey``: the public key of a private one, as ``wg pubkey`` prints it."""

from __future__ import annotations

import sys

import typer

from kgctl.cli.output import answer
from kgctl.cli.shared import Shared, with_shared
from kgctl.mesh.errors import KgctlError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MAX_INPUT = 4096  # bytes; a key has 44


class NoKeyError(KgctlError):
    """What came on stdin is no private key."""


@app.command()
@with_shared
def pubkey(shared: Shared) -> None:
    """Print the public key that belongs to the private key on stdin.

    kgctl pubkey < private.key > public.key
    """
    from kgctl.wireguard.keys import PrivateKey

    content = sys.stdin.buffer.read(_MAX_INPUT)
    key = PrivateKey.parse(content.decode("ascii", "replace").strip())
    if key is None:
        raise NoKeyError(
            "what came on stdin is no private key: base64 of 32 bytes, as genkey prints"
        )
    answer(f"{key.public_key()}\n")
