"""``kgctl genpsk``: a new preshared key, as ``wg genpsk`` prints one."""

from __future__ import annotations

import typer

from kgctl.cli.core.shared import Shared, with_shared

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
def genpsk(shared: Shared) -> None:
    """Print a new preshared key, in base64."""
    from kgctl.cli.secret import print_secret
    from kgctl.wireguard.keys import generate_preshared_key

    print_secret(generate_preshared_key())
