"""``kgctl import``: make a network in a folder from files of other programs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.core.arguments import UsageError, cidrs
from kgctl.cli.core.output import answer, note
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.edit.network_import import Import
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.network import Network
    from kgctl.mesh.state import State
    from kgctl.wireguard.foreign_files import ForeignFile

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MAX_FILE = 4 << 20  # bytes
_MAX_MACHINES = 20_000


@app.command("import")
@with_shared
def import_(
    shared: Shared,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Configuration files of WireGuard, systemd-networkd or NetworkManager, or "
            "wg-meshconf's database.csv.",
        ),
    ],
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The folder of the network, which is made if it is none. Default: the network of "
            "a folder around.",
        ),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]HOST[:PORT]",
            help="Where others reach the machine that a file is for, or the machine NAME; empty "
            "for nowhere. Repeatable.",
        ),
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The public key for the file without a private key."),
    ] = None,
    pool: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...",
            help="A new network: new machines get an address from each of these networks. "
            "Repeatable. Default: the network that the machines are in.",
        ),
    ] = None,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Write no private key.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the changes without making them.")
    ] = False,
) -> None:
    """Make a network in a folder from the files of another program, or add their machines to it.

    A file is that of a server with its clients, or of one machine; machines are merged by their
    public keys. What is not imported is listed.
    """
    from kgctl.edit.import_files import is_taken, write_into, write_into_new
    from kgctl.edit.network_import import Wishes, merged

    folder, is_one = _target(shared, into, pool)
    wishes = Wishes(_endpoints(endpoint), _key(public_key), _pools(pool))
    read = _read(files)
    keys: list[Path] = []
    if is_one:

        def plan() -> Import:
            return merged(read, wishes, _present(folder), is_taken(folder))

        if dry_run:
            found = plan()
        else:
            found, keys = write_into(folder, plan, keys=not without_keys)
    else:
        found = merged(read, wishes, None, is_taken(folder))
        network = _network(folder, found)
        if not dry_run:
            keys = write_into_new(folder, network, found, keys=not without_keys)
    _report(folder, found, keys, "" if is_one else _name(folder), dry_run)


def _target(shared: Shared, into: Path | None, pool: list[str] | None) -> tuple[Path, bool]:
    """Return the folder to write into, and whether it is a network already."""
    from kgctl.cli.core.source import folder_of
    from kgctl.state.network_folder import is_network

    around = folder_of(shared) if shared.filename else None
    if into is not None and shared.filename and not shared.around:
        raise UsageError("--into and -f name two folders; give one of them")
    folder = into if into is not None else around
    if folder is None:
        raise UsageError("give the folder for the network: --into DIR")
    is_one = is_network(folder)
    if is_one and pool:
        raise UsageError(
            f"{printable(str(folder))} is a network, and has its pools; --pool is for a new one"
        )
    return folder, is_one


def _endpoints(values: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values or ():
        name, equals, text = value.rpartition("=")
        if name in found:
            raise UsageError(f"--endpoint {printable(value, 60)}: the machine has another one")
        if equals and not name:
            raise UsageError(f"--endpoint {printable(value, 60)} is not [NAME=]HOST[:PORT]")
        found[name] = text
    return found


def _key(text: str | None) -> PublicKey | None:
    from kgctl.cli.commands.peer_values import public_key_of

    return None if text is None else public_key_of(text)


def _pools(values: list[str] | None) -> tuple[Cidr, ...]:
    return tuple(one.masked() for one in cidrs("--pool", values))


def _read(paths: Sequence[Path]) -> list[ForeignFile]:
    """Read the files; a .network file goes with the .netdev file beside it.

    Raises:
        UsageError: a file cannot be read, or there are too many machines.
        KgctlError: a file is not one of WireGuard, or a line is wrong.
    """
    from kgctl.wireguard.foreign_files import read_foreign

    netdevs = {path.with_suffix("") for path in paths if path.suffix == ".netdev"}
    found = []
    for path in dict.fromkeys(paths):
        if path.suffix == ".network" and path.with_suffix("") in netdevs:
            continue
        beside = path.with_suffix(".network")
        pair = None
        if path.suffix == ".netdev" and beside.is_file():
            pair = (printable(str(beside)), _text(beside))
        label = printable(str(path))
        found.append(read_foreign(_text(path), label, pair)._replace(stem=path.stem))
    if sum(len(one.own) + len(one.others) for one in found) > _MAX_MACHINES:
        raise UsageError(f"the files have more than {_MAX_MACHINES} machines")
    return found


def _text(path: Path) -> str:
    from kgctl.wireguard.machinefiles import decoded

    label = printable(str(path))
    try:
        with path.open("rb") as opened:
            content = opened.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read {label}: {reason}") from None
    if len(content) > _MAX_FILE:
        raise UsageError(f"{label} is not a WireGuard configuration: it has more than 4 MiB")
    return decoded(content)


def _present(folder: Path) -> State:
    from kgctl.state.folder import Folder
    from kgctl.state.objects import state_of

    return state_of(Folder(folder).read())


def _network(folder: Path, found: Import) -> Network:
    from kgctl.cli.commands.init import check_network
    from kgctl.edit.new_network import check_new
    from kgctl.mesh.network import Network

    check_new(folder)
    network = Network(
        _name(folder), found.pools, dns=found.dns, search_domains=found.search_domains
    )
    check_network(network)
    return network


def _name(folder: Path) -> str:
    from kgctl.cli.commands.init import network_name

    return network_name(None, folder)


def _report(folder: Path, found: Import, keys: list[Path], new: str, dry_run: bool) -> None:
    for line in (*found.notes, *found.losses):
        note(line)
    done = "created (dry run)" if dry_run else "created"
    lines = [f"network/{new} {done}"] if new else []
    lines += [f"peer/{machine.name} {done}" for machine in found.machines]
    if new:
        note(f"new machines get addresses from {' and '.join(map(str, found.pools))}")
    if keys:
        files = f"{len(keys)} private keys are" if len(keys) > 1 else "1 private key is"
        note(f"{files} in {printable(str(keys[0].parent))}; the files read still have them too")
    answer("".join(f"{line}\n" for line in lines))
    if not found.machines:
        note("the files have no machine that the network lacks")
    if found.machines and not dry_run:
        command = shlex.join(["kgctl", "showconf", "--all", "-d", "out", "-f", str(folder)])
        note(f"next: {printable(command, 1000)}, and give each machine its new file")
