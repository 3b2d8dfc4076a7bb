"""The machines of a network in a folder that ssh reaches: for ``deploy`` and ``drift --all``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kgctl.cli.commands.quick import QuickOptions, quick_file, settings_in_folder
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.limits import Warned
from kgctl.cli.core.names import ready_peer
from kgctl.cli.core.output import note
from kgctl.cli.core.source import folder_of, read
from kgctl.mesh.text import printable
from kgctl.remote.deployment import Wanted
from kgctl.remote.machine import Machine
from kgctl.state.peer_settings import SSH
from kgctl.wireguard.quick import PeerFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kgctl.cli.core.shared import Shared
    from kgctl.errors import KgctlError
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.network import Network
    from kgctl.mesh.peer import Peer
    from kgctl.remote.ssh import Ssh
    from kgctl.state.folder import Folder

_AT_ONCE = 8
_WG_QUICK = "wg-quick"

T = TypeVar("T")


class Member(NamedTuple):
    """A machine, and what it is to have."""

    name: str
    machine: Machine
    wanted: Wanted


class Fleet(NamedTuple):
    """The machines in the order of their names, and the owner of each key, in words."""

    members: tuple[Member, ...]
    owners: dict[PublicKey, str]


def fleet_of(
    shared: Shared, names: Sequence[str], ssh: Ssh, what: str, *, enable: bool = False
) -> Fleet:
    """Return the named machines, or all that have an ssh setting; others are named on stderr.

    ``what`` is the command, for errors.

    Raises:
        UsageError: there is no network in a folder, or ssh does not reach a named machine.
        UnknownNameError: a name is unknown.
        KgctlError: the folder cannot be read.
    """
    path = folder_of(shared)
    if path is None:
        raise UsageError(
            f"{what} is for a network in a folder: give -f DIR, or make one with kgctl init"
        )
    from kgctl.state.folder import Folder

    reading = read(shared)
    for name in names:
        ready_peer(reading, name)
    topology = reading.topology()
    network = topology.network
    assert network is not None  # a folder has one
    chosen = [one for one in topology.peers if not names or one.name in names]
    reached = [one for one in chosen if _obstacle(one) is None]
    _name_others([one for one in chosen if one not in reached], given=bool(names))
    if not reached:
        raise UsageError(
            "no machine has an ssh setting; set it with: kgctl peer set NAME --ssh [USER@]HOST"
        )
    folder = Folder(path)
    settings = QuickOptions().over_settings().settings()._replace(key_on_machine=True)
    warned, files = Warned(), PeerFiles(topology, settings)
    members = []
    for peer in reached:
        own = settings_in_folder(settings, network, folder, peer)
        configuration = quick_file(topology, peer, own, warned, files)
        assert peer.public_key is not None  # it is ready
        wanted = Wanted(configuration, peer.public_key, _own_keys(folder, peer.name), enable)
        members.append(Member(peer.name, _machine(network, peer, ssh), wanted))
    owners = {one.public_key: f"peer {one.name}" for one in topology.peers if one.public_key}
    return Fleet(tuple(sorted(members)), owners)


def _obstacle(peer: Peer) -> str | None:
    """Return why a machine is left out, or None."""
    if peer.settings.ssh is None:
        problem = next(
            (one for one in peer.settings.problems if one.startswith(f"annotation {SSH} ")), None
        )
        return problem or "no --ssh setting"
    if peer.settings.platform not in ("", _WG_QUICK):
        return f"its platform is {peer.settings.platform}, not {_WG_QUICK}"
    return None


def _name_others(others: Sequence[Peer], *, given: bool) -> None:
    """Report machines that ssh does not reach.

    Raises:
        UsageError: they were ``given`` by name.
    """
    if not others:
        return
    texts = [f"{printable(one.name)} ({_obstacle(one)})" for one in others]
    if given:
        raise UsageError(
            f"cannot reach {', '.join(texts)}; set it with: kgctl peer set NAME --ssh [USER@]HOST"
        )
    note(f"left out: {', '.join(texts)}")


def _own_keys(folder: Folder, name: str) -> Callable[[PublicKey], bool]:
    """Return a function that tells whether the folder has the private key for a public key."""
    return lambda key: folder.private_key(name, key) is not None


def _machine(network: Network, peer: Peer, ssh: Ssh) -> Machine:
    assert peer.settings.ssh is not None  # the caller checked it
    return Machine(ssh, peer.settings.ssh, sudo=peer.settings.sudo, interface=network.interface)


def each(
    members: Sequence[Member], ssh: Ssh, work: Callable[[Member], T]
) -> Iterator[tuple[Member, T]]:
    """Yield what ``work`` returns for each machine, in their order; several work at once.

    When the caller stops early, or is interrupted, ssh ends everywhere.
    """
    executor = ThreadPoolExecutor(_AT_ONCE)
    try:
        futures = [(one, executor.submit(work, one)) for one in members]
        for one, future in futures:
            yield one, future.result()
    except BaseException:
        ssh.stop()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def reason(error: KgctlError) -> str:
    """Return the message of an error, printable."""
    from kgctl.cli.core.hints import message

    return printable(message(error), 600)
