"""``kgctl genkey``, ``pubkey`` and ``genpsk``: make keys as ``wg`` does.

``genkey`` prints a new private key, ``pubkey`` the public key of a private key, ``genpsk`` a new
preshared key.
"""

from __future__ import annotations

import sys

import typer

from kgctl.cli.core.output import answer, print_secret
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.errors import KgctlError

genkey_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@genkey_app.command()
@with_shared
def genkey(shared: Shared) -> None:
    """Print a new private key, in base64.

    Keep it in a file that nobody else can read: (umask 077; kgctl genkey > private.key)
    """
    from kgctl.wireguard.keys import PrivateKey

    print_secret(PrivateKey.generate())


genpsk_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@genpsk_app.command()
@with_shared
def genpsk(shared: Shared) -> None:
    """Print a new preshared key, in base64."""
    from kgctl.wireguard.keys import generate_preshared_key

    print_secret(generate_preshared_key())


pubkey_app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MAX_INPUT = 1 << 16  # bytes; a key has 44, and only white space may follow


class NoKeyError(KgctlError):
    """Stdin does not hold a private key."""


@pubkey_app.command()
@with_shared
def pubkey(shared: Shared) -> None:
    """Print the public key of the private key on stdin.

    kgctl pubkey < private.key > public.key
    """
    from kgctl.wireguard.keys import parse_private_key

    content = b"" if sys.stdin is None else sys.stdin.buffer.read(_MAX_INPUT + 1)
    key = None if len(content) > _MAX_INPUT else parse_private_key(content)
    if key is None:
        raise NoKeyError(
            "stdin does not hold a private key: base64 of 32 bytes, as kgctl genkey prints it"
        )
    answer(f"{key.public_key()}\n")
