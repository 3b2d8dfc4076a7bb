"""``kgctl join-request``: on a machine, make its key, and print a line that lets it be added."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.core.shared import Shared, with_shared

if TYPE_CHECKING:
    from kgctl.wireguard.keys import PrivateKey

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
def join_request(
    shared: Shared,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="The machine's name. Default: its host name."),
    ] = None,
    private_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The file with the private key; it is made if it does not exist. Default: "
            "NAME.key.",
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where others can call this machine."),
    ] = None,
    lan: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...",
            help="A network behind this machine, which others are to reach. Repeatable.",
        ),
    ] = None,
) -> None:
    """Print a line for kgctl peer add --request, and keep the private key on this machine.

    Run it on the machine that is to join. The line holds no secret: send it to those who keep the
    network.
    """
    from kgctl.cli.commands.peer_values import check_name, endpoint_of, networks_behind
    from kgctl.cli.core.output import answer, note
    from kgctl.mesh.join_request import JoinRequest
    from kgctl.mesh.text import printable
    from kgctl.wireguard.keys import write_key

    name = _host_name() if name is None else name
    check_name(name)
    called, behind = endpoint_of(endpoint), networks_behind(lan)
    path = Path(f"{name}.key") if private_key_file is None else private_key_file
    key, is_new = _key_in(path)
    line = JoinRequest(name, key.public_key(), called, behind).line()
    if is_new:
        write_key(path, key)
    answer(f"{line}\n")
    shown = printable(str(path))
    note(f"{'made' if is_new else 'found'} its private key in {shown}, which stays on this machine")
    if path.stat().st_mode & 0o077:
        note(f"other users may read {shown}: chmod 600 {shown}")
    note("send the line to those who keep the network: kgctl peer add --request LINE")


def _host_name() -> str:
    """Return this machine's host name, in lower case.

    Raises:
        UsageError: it cannot be the name of a Peer.
    """
    import socket

    from kgctl.cli.core.arguments import UsageError
    from kgctl.mesh.endpoint import is_dns_name
    from kgctl.mesh.text import printable

    found = socket.gethostname().lower()
    if not is_dns_name(found):
        raise UsageError(
            f'the host name "{printable(found)}" cannot be the name of a machine: give a NAME of '
            "lower-case letters, digits, - and ."
        )
    return found


def _key_in(path: Path) -> tuple[PrivateKey, bool]:
    """Return the private key in a file, or a new one that is not written yet, and which it is.

    Raises:
        KeyFileError: the file cannot be read, or holds no key.
    """
    from kgctl.wireguard.keys import PrivateKey, read_private_key

    if path.is_symlink() or path.exists():
        return read_private_key(path), False
    return PrivateKey.generate(), True
