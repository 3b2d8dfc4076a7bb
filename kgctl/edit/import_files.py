"""Machines of an import, written into the folder of a network: all of them, or none."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kgctl.edit.new_network import check_new, make_network
from kgctl.errors import ClusterError
from kgctl.files.atomic import (
    create_public,
    locked,
    make_directory,
    make_own_directory,
    remove_empty,
    remove_own,
    unused,
)
from kgctl.kube.codec.structured import to_yaml
from kgctl.mesh.text import printable
from kgctl.render.manifest import peer_object
from kgctl.state.network_folder import FILE, KEYS
from kgctl.wireguard.conf import PeerSection
from kgctl.wireguard.keys import write_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kgctl.edit.network_import import Import, Machine
    from kgctl.kube.stored import Object
    from kgctl.mesh.network import Network

_RESERVED = frozenset((FILE, "network.schema.json"))


def is_taken(folder: Path) -> Callable[[str], bool]:
    """Return a function that tells whether no new machine can have a name, because of its file."""

    def taken(name: str) -> bool:
        path = folder / f"{name}.yaml"
        return path.name in _RESERVED or path.is_symlink() or path.exists()

    return taken


def manifest(machine: Machine) -> Object:
    """Return the Peer object of a machine."""
    section = PeerSection(
        machine.public_key, machine.allowed_ips, machine.endpoint, machine.keepalive
    )
    return peer_object(machine.name, section)


def write_into_new(folder: Path, network: Network, found: Import, *, keys: bool) -> list[Path]:
    """Make a folder a network with these machines; return the files of their private keys.

    Without ``keys`` none is written. ``network.yaml`` comes last, so that no part of a network is
    taken for one.

    Raises:
        ClusterError: a file cannot be written, or the folder is a network; nothing is left.
    """
    check_new(folder)
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    with _undone() as made:
        made.extend(reversed(missing))
        make_directory(folder)
        written = _write(folder, found, made, keys=keys)
        make_network(folder, network)
    return written


def write_into(
    folder: Path, plan: Callable[[], Import], *, keys: bool
) -> tuple[Import, list[Path]]:
    """Plan and write an import into the folder of a network, which is locked meanwhile.

    Returns:
        The import, and the files of private keys.

    Raises:
        ClusterError: a file cannot be written; nothing is left.
        KgctlError: that of ``plan``.
    """
    with locked(folder):
        found = plan()
        with _undone() as made:
            return found, _write(folder, found, made, keys=keys)


@contextmanager
def _undone() -> Iterator[list[Path]]:
    """Remove the files and directories that the body put into the list, if it fails."""
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):  # the first error counts
                (remove_empty if path.is_dir() and not path.is_symlink() else remove_own)(path)
        raise


def _write(folder: Path, found: Import, made: list[Path], *, keys: bool) -> list[Path]:
    written: list[Path] = []
    secret = [one for one in found.machines if keys and one.private_key is not None]
    if secret:
        directory = folder / KEYS
        if not directory.exists():
            made.append(directory)
        make_own_directory(directory)
    for machine in secret:
        assert machine.private_key is not None
        path = unused(folder / KEYS / f"{machine.name}.key")
        write_key(path, machine.private_key)
        made.append(path)
        written.append(path)
    for machine in found.machines:
        path = folder / f"{machine.name}.yaml"
        try:
            create_public(path, to_yaml(manifest(machine)).encode())
        except OSError as error:
            raise ClusterError(f"cannot write {printable(str(path))}: {error.strerror}") from None
        made.append(path)
    return written
