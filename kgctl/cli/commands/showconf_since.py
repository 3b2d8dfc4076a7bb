"""``kgctl showconf --all --since``: the machines whose file differs from what it was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.commands.quick import quick_file, with_defaults
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import answer, note
from kgctl.cli.core.source import reading_of
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.cli.commands.showconf_files import Outside
    from kgctl.cli.core.shared import Shared
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology
    from kgctl.state.folder import Folder
    from kgctl.state.interface import Objects
    from kgctl.wireguard.conf import Configuration
    from kgctl.wireguard.quick import PeerFiles


class _File(NamedTuple):
    """What decides about a machine's file, without its private key, which is not in git.

    The public key is in it: a file without a private key names that in a comment.
    """

    format: str
    interface: str
    configuration: Configuration


def write_changed(
    outside: Outside, shared: Shared, topology: Topology, directory: Path | None
) -> None:
    """Name the machines whose file changed, and those that are gone; write the former's files.

    Raises:
        UsageError: the network is that of a cluster, or there is no such revision or folder.
        KgctlError: the network as it was cannot be read.
    """
    assert outside.since is not None
    if outside.folder is None:
        raise UsageError("--since is for a network in a folder; kgctl diff compares clusters")
    objects = _then(outside.folder, outside.since)
    before = reading_of(shared, objects).topology()
    common = outside.common(before)
    old = {peer.name: _file_then(outside, before, peer, common) for peer in before.peers}
    common = outside.common(topology)
    changed: list[Peer] = []
    lines = []
    for peer in topology.peers:
        if old.get(peer.name) != _file(outside, topology, peer, common):
            changed.append(peer)
            lines.append(f"{peer.name} {'changed' if peer.name in old else 'new'}")
    names = {peer.name for peer in topology.peers}
    gone = [name for name in old if name not in names]
    lines += [f"{name} gone" for name in gone]
    if directory is not None:
        outside.write(topology, changed, directory)
    answer("".join(f"{printable(line)}\n" for line in lines))
    left = f"; {len(gone)} left, and the new files of the others lock them out" if gone else ""
    note(f"{len(changed)} of {len(names)} machines need a new file{left}")


def _file_then(outside: Outside, topology: Topology, peer: Peer, common: PeerFiles) -> _File | None:
    """Return what a machine's file was; None if its platform was wrong, so that it had none."""
    try:
        outside.of(peer)
    except UsageError:
        return None
    return _file(outside, topology, peer, common)


def _file(outside: Outside, topology: Topology, peer: Peer, common: PeerFiles) -> _File:
    own = outside.of(peer)
    settings = outside.settings._replace(private_key=None)
    if topology.network is not None:
        settings = with_defaults(settings, topology.network)
    interface = own.interface_of(topology) if own.format.interface else ""
    return _File(own.format.name, interface, quick_file(topology, peer, settings, None, common))


def _then(folder: Folder, since: str) -> Objects:
    """Return what the folder was: at a revision of git, or what another folder is."""
    from kgctl.state.folder import Folder
    from kgctl.state.manifest_files import commit_of
    from kgctl.state.network_folder import is_network

    path = Path(since)
    if path.is_dir():
        if not is_network(path):
            raise UsageError(f"--since {printable(since)}: there is no network in this folder")
        return Folder(path).read()
    commit = commit_of(since, folder.path)
    if commit is None:
        raise UsageError(
            f"--since {printable(since)} is neither a folder nor a revision of the git repository "
            f"of {printable(str(folder.path))}"
        )
    return _at(folder, commit)


def _at(folder: Folder, commit: str) -> Objects:
    """Return what the folder was at a commit, with its ``network.yaml`` of then, if it had one."""
    from kgctl.state.manifest_files import contents_at
    from kgctl.state.manifests import objects_in
    from kgctl.state.network_file import parse_network
    from kgctl.state.network_folder import FILE

    network, manifests = None, []
    own = f"{printable(str(folder.path / FILE))} at "
    for label, content, found in contents_at(commit, [str(folder.path)]):
        if label.startswith(own):
            network = parse_network(label, content)
        else:
            manifests.append((label, content, found))
    return objects_in(manifests)._replace(network=network or folder.network())
