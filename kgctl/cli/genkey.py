"""``kgctl genkey``: a new private key, as ``wg genkey`` prints one."""

from __future__ import annotations

import typer

from kgctl.cli.core.shared import Shared, with_shared

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
def genkey(shared: Shared) -> None:
    """Print a new private key, in base64.

    Keep it in a file that nobody else can read: (umask 077; kgctl genkey > private.key)
    """
    from kgctl.cli.secret import print_secret
    from kgctl.wireguard.keys import PrivateKey

    print_secret(PrivateKey.generate())
