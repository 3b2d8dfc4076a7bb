"""Files of ``kgctl showconf``: for machines outside the cluster, for leaders, and watched ones.

A file of a peer may join several clusters.
"""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.commands.quick import quick_file, settings_in_folder, warn_of_foreign_key
from kgctl.cli.core.arguments import UsageError, split_values
from kgctl.cli.core.clusters import linked_clusters, networks_of_clusters, read_several, said_of
from kgctl.cli.core.hints import message
from kgctl.cli.core.limits import Warned, warn_of_unknown
from kgctl.cli.core.names import note_expired, ready_peer
from kgctl.cli.core.output import answer_with_secret, holds_secret, note, warn_of_others
from kgctl.cli.core.source import read
from kgctl.files.atomic import sync_directory, write_private
from kgctl.mesh.endpoint import is_dns_name
from kgctl.mesh.text import printable
from kgctl.wireguard.formats import WIREGUARD, Machine
from kgctl.wireguard.quick import PeerFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from kgctl.cli.commands.quick import QuickOptions
    from kgctl.cli.core.shared import Shared
    from kgctl.cli.core.source import Reading
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.link_rules import Member
    from kgctl.mesh.links import Linked
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Limits
    from kgctl.mesh.topology import Topology
    from kgctl.state.folder import Folder
    from kgctl.wireguard.conf import Configuration
    from kgctl.wireguard.formats import MachineFormat
    from kgctl.wireguard.quick import QuickSettings
    from kgctl.wireguard.quickjoined import JoinedFile, Joining


_LONGEST = 15
_INTERFACE = re.compile(rf"[A-Za-z0-9_=+.-]{{1,{_LONGEST}}}")
"""Interface names that wg-quick accepts: at most IFNAMSIZ of the Linux kernel, less the NUL."""

DEFAULT_INTERFACE = "kilo0"
"""The name of an interface in files for a cluster's network."""


class Outside(NamedTuple):
    """The format for a machine outside the cluster, and the settings of its file.

    ``interface`` is empty for the default. ``folder`` is the one with the network, if it is not
    that of a cluster: it has defaults for the settings, and private keys. With ``by_platform``, a
    machine's platform goes before ``format``. ``since`` is a revision or a folder: only files that
    differ from those then are written, and named.
    """

    format: MachineFormat
    settings: QuickSettings
    interface: str
    picture: Path | None
    warned: Warned
    folder: Folder | None = None
    by_platform: bool = False
    since: str | None = None

    def run(
        self,
        shared: Shared,
        name: str | None,
        directory: Path | None,
        watched: Path | None,
        interval: int,
    ) -> None:
        """Print, write or watch the configuration, as the options require."""
        self._check(interval)
        if watched is not None and name is not None:
            from kgctl.cli.commands.screen import keep_up_to_date

            keep_up_to_date(shared, watched, self._content(name), interval)
            return
        reading = read(shared)
        topology = self._network(reading)
        warn_of_unknown(self.settings.limits, _names(topology))
        if self.since is not None:
            from kgctl.cli.commands.showconf_since import write_changed

            write_changed(self, shared, topology, directory)
        elif directory is not None:
            peers = topology.peers if name is None else (self._peer(reading, topology, name),)
            if name is None:
                note_expired(reading)
            self.write(topology, peers, directory)
        elif name is not None:
            peer = self._peer(reading, topology, name)
            warn_of_foreign_key(peer, self.settings, _others(topology))
            self._print(topology, peer, self._configuration(topology, peer))

    def write(self, topology: Topology, peers: Sequence[Peer], directory: Path) -> None:
        """Write the files of these peers; nothing if one has a wrong name or platform."""
        for peer in peers:
            file_stem(peer.name)
        chosen = [(peer, self.of(peer)) for peer in peers]
        chosen = [(peer, own) for peer, own in chosen if own.is_of_use(peer)]
        common = self.common(topology)
        _write_all(
            directory,
            (file for peer, own in chosen for file in own.files(topology, peer, common).items()),
        )

    def common(self, topology: Topology) -> PeerFiles:
        """Return what the files of all machines have in common, whatever their formats."""
        return PeerFiles(topology, self._read_by)

    def of(self, peer: Peer) -> Outside:
        """Return this with the format of the peer's platform, if that counts.

        Raises:
            UsageError: no format has the name of the platform; the message names the peer.
        """
        if not self.by_platform or not peer.settings.platform:
            return self
        from kgctl.cli.commands.peer_settings import platform_format

        found = platform_format(peer.settings.platform, f"{printable(peer.name)}: its platform")
        return self._replace(format=found)

    def is_of_use(self, peer: Peer) -> bool:
        """Return whether the peer's platform can use its file; report on stderr if it cannot."""
        if not (self.by_platform and self.format.needs_key and self.folder is not None):
            return True
        if self.folder.private_key(peer.name, peer.public_key) is not None:
            return True
        note(
            f"{printable(peer.name)}: its private key is not in "
            f"{printable(str(self.folder.keys))}, and phones refuse a code without it: none is "
            "written"
        )
        return False

    def run_joined(
        self, name: str, directory: Path | None, join: Callable[[QuickSettings], JoinedFile]
    ) -> None:
        """Print or write the file with which ``name`` joins several clusters."""
        self._check(1)
        peer, configuration, refusals = join(self._read_by)
        self.warned.warn(refusals)
        if directory is not None:
            _write_all(directory, self.files_of(None, peer, configuration).items())
            return
        warn_of_foreign_key(peer, self.settings)
        self._print(None, peer, configuration)

    @property
    def _read_by(self) -> QuickSettings:
        """The settings, with the program that reads the file."""
        reader = self.format.reader
        return self.settings._replace(reader=reader) if reader else self.settings

    def _network(self, reading: Reading) -> Topology:
        return reading.topology(as_reference=self.format is WIREGUARD)

    def _configuration(
        self, topology: Topology, peer: Peer, files: PeerFiles | None = None
    ) -> Configuration:
        if self.format is WIREGUARD:
            return (files or PeerFiles(topology, self._read_by)).plain(peer)
        return quick_file(topology, peer, self._settings_of(topology, peer), self.warned, files)

    def _settings_of(self, topology: Topology, peer: Peer) -> QuickSettings:
        """Return the settings for one peer: in a folder's network, with its key and defaults."""
        settings, network = self._read_by, topology.network
        if network is None or self.folder is None:
            return settings
        settings = settings_in_folder(settings, network, self.folder, peer)
        if settings.private_key is None:
            note(
                f"{printable(peer.name)}: its private key is not in "
                f"{printable(str(self.folder.keys))}, so the file lacks it: put it in on the "
                "machine that has it, after PrivateKey ="
            )
        return settings

    def files(
        self, topology: Topology, peer: Peer, files: PeerFiles | None = None
    ) -> dict[str, bytes]:
        """Return the files of one peer, by name: ``PEER.conf`` and the like.

        ``files`` are those of the topology, if there is more than one peer.
        """
        return self.files_of(topology, peer, self._configuration(topology, peer, files))

    def files_of(
        self, topology: Topology | None, peer: Peer, configuration: Configuration
    ) -> dict[str, bytes]:
        """Return the files for a configuration of the peer, by name.

        ``topology`` is its network, None if it joins several.
        """
        machine = self._machine(topology, file_stem(peer.name), peer)
        return self.format.files(configuration, machine)

    def _machine(self, topology: Topology | None, name: str, peer: Peer) -> Machine:
        ending = self.picture.suffix[1:] if self.picture else ""
        identity = f"{peer.name} {peer.public_key}"
        return Machine(name, self.interface_of(topology), identity, ending)

    def interface_of(self, topology: Topology | None) -> str:
        """Return the name of the interface in files."""
        if not self.interface and topology is not None and topology.network is not None:
            return topology.network.interface
        return self.interface or DEFAULT_INTERFACE

    def _check(self, interval: int) -> None:
        usable = _INTERFACE.fullmatch(self.interface) and self.interface.strip(".")
        if self.interface and not usable:
            raise UsageError(
                f'--interface "{printable(self.interface)}" is not an interface name: at most 15 '
                "letters, digits and _ = + . -"
            )
        if self.picture is not None and self.picture.suffix[1:] not in self.format.pictures:
            raise UsageError("--output-file is for one QR code: -o qr -O FILE.png or FILE.svg")
        if interval < 1:
            raise UsageError("--interval must be at least 1 second")

    def _peer(self, reading: Reading, topology: Topology, name: str) -> Peer:
        ready_peer(reading, name)
        found = topology.peer(name)
        assert found is not None  # a ready peer is in the topology
        return found

    def _print(self, topology: Topology | None, peer: Peer, configuration: Configuration) -> None:
        interface = configuration.interface
        if self.format.needs_key and (interface is None or interface.private_key is None):
            note("the code has no private key, so phones refuse it; give --private-key FILE")
        if self.picture is not None:
            (content,) = self.files_of(topology, peer, configuration).values()
            write_private(self.picture, content)
            note(f"wrote {printable(str(self.picture))}")
            return
        name = peer.name if self.format.pictures else file_stem(peer.name)
        text = self.format.text(configuration, self._machine(topology, name, peer))
        answer_with_secret(text, holds_one=holds_secret(configuration))

    def _content(self, name: str) -> Callable[[Reading], bytes]:
        """Return a function that makes the file of the peer ``name``; it warns of each key once."""
        warned: set[PublicKey | None] = set()

        def content(reading: Reading) -> bytes:
            topology = self._network(reading)
            peer = self._peer(reading, topology, name)
            if peer.public_key not in warned:
                warned.add(peer.public_key)
                warn_of_foreign_key(peer, self.settings, _others(topology))
            (text,) = self.files(topology, peer).values()
            return text

        return content


def _others(topology: Topology) -> str:
    return "the nodes" if topology.network is None else "the others"


def _names(topology: Topology) -> set[str]:
    nodes = {node.name for segment in topology.segments for node in segment.nodes}
    return nodes | {peer.name for peer in topology.peers}


def write_leaders(reading: Reading, directory: Path, listen_port: int) -> None:
    """Write the configuration that each leader sets on its interface."""
    from kgctl.wireguard.conf import node_configuration

    viewpoints = reading.viewpoints(as_reference=True)

    def content(leader: Node) -> bytes:
        seen = viewpoints.from_node(leader.name)
        return str(node_configuration(seen, leader, listen_port=listen_port)).encode()

    leaders = [segment.leader for segment in viewpoints.from_node().segments]
    files = [(f"{file_stem(leader.name)}.conf", leader) for leader in leaders]
    _write_all(directory, ((name, content(leader)) for name, leader in files))


def file_stem(name: str) -> str:
    """Return the name of a node or peer for use as a file name.

    Raises:
        UsageError: it is not a Kubernetes name, and could lead out of the directory.
    """
    if not is_dns_name(name):
        raise UsageError(f'"{printable(name)}" is not a valid file name; rename the object')
    return name


def _write_all(directory: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write the files one by one, so that only one is in memory."""
    if not directory.is_dir():
        raise UsageError(f"{printable(str(directory))} is not a directory; make it first")
    warn_of_others(directory / "FILE")
    for name, content in files:
        path = directory / name
        state = "wrote" if write_private(path, content, one_of_many=True) else "unchanged:"
        print(f"{state} {printable(str(path))}", file=sys.stderr)  # noqa: T201
    sync_directory(directory)


def show_joined(
    shared: Shared,
    name: str,
    options: QuickOptions,
    output: tuple[MachineFormat, str, Path | None, Path | None],
) -> None:
    """Print or write the file with which a peer joins several clusters.

    ``output`` has the format, the interface, the file of a picture, and the directory.

    Raises:
        UsageError: an option is wrong, or names an object of no cluster or of several.
        UnknownNameError: a cluster lacks the peer; the message names the cluster.
        JoinError: the clusters cannot be joined in one file.
    """
    format_, interface, picture, directory = output
    own = options._replace(service_cidr=None, via=None, gateway=None, only=None).settings()
    clusters = read_several(shared)
    names = [text for one in clusters for text in ("--cluster", one.name)]
    own = own._replace(made_with=printable(shlex.join(names), 2000))
    linked = linked_clusters(clusters, as_reference=format_ is WIREGUARD)
    peers = {}
    for one, member in zip(clusters, linked.members, strict=True):
        with said_of(one.name):
            one.reading.require_ready_nodes()
            ready_peer(one.reading, name)
        found = member.topology.peer(name)
        assert found is not None  # a ready peer is in the topology
        peers[one.name] = found
    outside = Outside(format_, own, interface, picture, Warned())

    def join(settings: QuickSettings) -> JoinedFile:
        return _joined(linked, peers, options, settings, plain=format_ is WIREGUARD)

    outside.run_joined(name, directory, join)


def _joined(
    linked: Linked,
    peers: dict[str, Peer],
    options: QuickOptions,
    settings: QuickSettings,
    *,
    plain: bool,
) -> JoinedFile:
    from kgctl.wireguard.quick import UnknownPlaceError
    from kgctl.wireguard.quickjoined import Joining, joined_file, joined_sections

    wanted = _settings(linked.members, options, settings)
    joinings: list[Joining] = [
        Joining(cluster, peer, wanted[cluster]) for cluster, peer in peers.items()
    ]
    try:
        if plain:
            return joined_sections(linked, joinings)
        return joined_file(linked, joinings, settings)
    except UnknownPlaceError as error:
        raise UsageError(message(error)) from None


def _settings(
    members: Sequence[Member], options: QuickOptions, settings: QuickSettings
) -> dict[str, QuickSettings | None]:
    """Return the settings for each cluster; None if ``--only`` names nothing in it."""
    names = [member.name for member in members]
    services = networks_of_clusters(options.service_cidr, names)
    via = _place("--via", options.via, members)
    gateway = _place("--gateway", options.gateway, members)
    only: dict[str, list[str]] = {}
    for name in split_values(options.only):
        for cluster, place in _places("--only", name, members):
            only.setdefault(cluster, []).append(place)
    found: dict[str, QuickSettings | None] = {}
    for member in members:
        own = settings._replace(
            service_cidrs=services.get(member.name, ()),
            via=via.get(member.name),
            gateway=gateway.get(member.name),
            only=tuple(only.get(member.name, ())),
            limits=_limits(settings.limits, member.name, names),
        )
        carries = own.only or own.via or own.gateway
        if only and not carries and own.service_cidrs:
            raise UsageError(
                f"--only leaves nothing of {printable(member.name)} that could carry its services: "
                "add a node or location of it"
            )
        found[member.name] = own if carries or not only else None
    return found


def _limits(limits: Limits, cluster: str, clusters: Sequence[str]) -> Limits:
    """Return the limits of one cluster; a consent to ``CLUSTER/NAME`` applies only to that."""
    accept: dict[str, tuple[Cidr, ...]] = {}
    for text, networks in limits.accept.items():
        of, slash, name = text.partition("/")
        if slash and of in clusters:
            if of != cluster:
                continue
        else:
            name = text
        accept[name] = (*accept.get(name, ()), *networks)
    return limits._replace(accept=accept)


def _place(option: str, text: str | None, members: Sequence[Member]) -> dict[str, str]:
    """Return the node that an option names, by its cluster; it must be in only one."""
    if text is None:
        return {}
    found = _places(option, text, members)
    if len(found) > 1:
        names = " and ".join(f"{printable(cluster)}/{printable(one)}" for cluster, one in found)
        raise UsageError(f"{option} {printable(text)} may mean {names}: give one of them")
    return dict(found)


def _places(option: str, text: str, members: Sequence[Member]) -> list[tuple[str, str]]:
    """Return the clusters that have a node, location or peer; ``CLUSTER/NAME`` selects one."""
    found = []
    for member in members:
        own = text.removeprefix(f"{member.name}/")
        topology = member.topology
        known = {name for one in topology.segments for node in one.nodes
                 for name in (node.name, node.location)}  # fmt: skip
        known |= {peer.name for peer in topology.peers}
        if own in known:
            found.append((member.name, own))
    if not found:
        raise UsageError(f'{option} "{printable(text)}" is in no segment of any of the clusters')
    return found
