"""``kgctl help [COMMAND...]``: print help as ``kgctl COMMAND --help`` does; ``kgctl help rbac``."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def help_(
    command: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND...]")] = None,
) -> None:
    """Print the help of a command, as ``kgctl COMMAND --help`` does.

    kgctl help rbac lists the RBAC roles that commands need in a cluster;
    kgctl help rbac ROLE | kubectl apply -f - creates one.
    """
    if command and command[0] == "rbac":
        _rbac(command[1:])
        return
    from kgctl.cli.core.app import run

    raise typer.Exit(run([*(command or []), "--help"]))


def _rbac(names: list[str]) -> None:
    """Print the manifests of roles, or a list of all roles.

    Raises:
        UsageError: a role is unknown.
    """
    from kgctl.cli.core.arguments import UsageError
    from kgctl.cli.core.output import answer
    from kgctl.cli.roles import ROLES, manifest
    from kgctl.mesh.text import nearest, printable

    for name in names:
        if name not in ROLES:
            found = nearest(name, ROLES)
            hint = f'did you mean "{found}"?' if found else f"there are {', '.join(ROLES)}"
            raise UsageError(f'there is no role "{printable(name, 60)}": {hint}')
    if names:
        answer("---\n".join(manifest(name) for name in names))
        return
    width = max(map(len, ROLES))
    lines = [f"{name:{width}}  {purpose}" for name, purpose in ROLES.items()]
    answer("\n".join([*lines, "", "kgctl help rbac ROLE prints its manifest.", ""]))
