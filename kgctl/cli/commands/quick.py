"""Options of ``kgctl showconf peer -o wg-quick``, and the file that they make."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.core.arguments import UsageError, cidrs, split_values, within
from kgctl.cli.core.hints import message
from kgctl.cli.core.limits import LimitOptions
from kgctl.cli.core.output import note
from kgctl.mesh.cidr import parse_address
from kgctl.mesh.endpoint import PORTS, is_dns_name
from kgctl.mesh.relays import NoRelayError
from kgctl.mesh.text import nearest, printable
from kgctl.wireguard.conf import MTUS
from kgctl.wireguard.keys import read_private_key
from kgctl.wireguard.quick import (
    PeerFiles,
    QuickSettings,
    UnknownPlaceError,
    whole_file,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kgctl.cli.core.limits import Warned
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.network import Network
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology
    from kgctl.state.folder import Folder
    from kgctl.wireguard.conf import Configuration

_TABLE = range(1, 2**32)


class QuickOptions(NamedTuple):
    """The options, unparsed."""

    private_key: Path | None = None
    dns: list[str] | None = None
    search_domain: list[str] | None = None
    mtu: int | None = None
    listen_port: int | None = None
    table: str | None = None
    service_cidr: list[str] | None = None
    via: str | None = None
    gateway: str | None = None
    only: list[str] | None = None
    limits: LimitOptions = LimitOptions()
    relay: str | None = None
    relay_pool: list[str] | None = None

    def over_settings(self) -> QuickOptions:
        """Merge the limits over those of the settings file in the working directory, if any.

        Raises:
            UsageError: the settings file is invalid.
        """
        return self._replace(limits=self.limits.over_settings())

    def settings(self) -> QuickSettings:
        """Parse the options, and read the private key from its file.

        Raises:
            UsageError: a value is invalid.
            KeyFileError: the private key cannot be read.
        """
        return QuickSettings(
            private_key=None if self.private_key is None else read_private_key(self.private_key),
            dns=(
                *servers(self.dns),
                *domains(self.search_domain),
            ),
            mtu=_given_within("--mtu", self.mtu, MTUS),
            listen_port=_given_within("--listen-port", self.listen_port, PORTS),
            table=_table(self.table),
            service_cidrs=tuple(cidrs("--service-cidr", self.service_cidr)),
            via=self.via,
            gateway=self.gateway,
            only=tuple(split_values(self.only)),
            limits=self.limits.limits(),
            made_with=self.shown(),
            relay=self.relay,
            relay_pools=tuple(one.masked() for one in cidrs("--relay-pool", self.relay_pool)),
            key_hint="have it filled in with --private-key FILE",
        )

    def shown(self) -> str:
        """Return the options that decide the peers of the file, for a comment and ``recorded``.

        Options that do not concern the network (DNS, MTU and so on) are left out.
        """
        words = []
        for name in (*_SHAPING, *LimitOptions._fields):
            value = getattr(self.limits if name in LimitOptions._fields else self, name)
            if value:
                text = ",".join(split_values(value)) if isinstance(value, list) else str(value)
                words += [f"--{name.replace('_', '-')}", text]
        return shlex.join(words)

    @property
    def shapes(self) -> bool:
        """Whether any option decides the peers of the file."""
        return bool(self.shown())


_LIMITS = tuple(f"--{name.replace('_', '-')}" for name in LimitOptions._fields)
_SHAPING = ("service_cidr", "via", "gateway", "only", "listen_port", "relay", "relay_pool")


def recorded(text: str) -> QuickOptions:
    """Parse the options recorded in a file; skip unknown ones."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    given = dict(zip(words[::2], words[1::2], strict=False))
    port = given.get("--listen-port", "")
    return QuickOptions(
        service_cidr=_given(given.get("--service-cidr")),
        via=given.get("--via"),
        gateway=given.get("--gateway"),
        only=_given(given.get("--only")),
        limits=LimitOptions(*(_given(given.get(name)) for name in _LIMITS)),
        listen_port=int(port) if port.isascii() and port.isdigit() and len(port) < 6 else None,
        relay=given.get("--relay"),
        relay_pool=_given(given.get("--relay-pool")),
    )


def _given(text: str | None) -> list[str] | None:
    return None if text is None else [text]


def quick_file(
    topology: Topology,
    peer: Peer,
    settings: QuickSettings,
    warned: Warned | None = None,
    files: PeerFiles | None = None,
) -> Configuration:
    """Return the wg-quick file of a peer; ``warned`` reports refused claims.

    ``files`` are those of the topology with these settings, if there is more than one.

    Raises:
        UsageError: the settings name an unknown node, location or peer, or a relay that is none.
    """
    try:
        files = PeerFiles(topology, settings) if files is None else files
        sections = files.sections(peer, settings)
    except (UnknownPlaceError, NoRelayError) as error:
        raise unknown_place(error) from None
    if warned is not None:
        warned.warn(one for section in sections for one in section.refusals)
    return whole_file(peer, sections, settings._replace(forwarding=files.forwarding(peer)))


def unknown_place(error: UnknownPlaceError | NoRelayError) -> UsageError:
    """Return the error for a name in the options, with the name that it is most like."""
    found = nearest(str(error.value), error.alternatives) if error.value else None
    hint = f'; did you mean "{printable(found)}"?' if found else ""
    return UsageError(f"{message(error)}{hint}")


def with_defaults(settings: QuickSettings, network: Network) -> QuickSettings:
    """Return the settings with the network's DNS, unless they have their own."""
    if settings.dns or not network.dns:
        return settings
    return settings._replace(dns=(*network.dns, *network.search_domains))


def settings_in_folder(
    settings: QuickSettings, network: Network, folder: Folder, peer: Peer
) -> QuickSettings:
    """Return the settings for a machine of a network in a folder: its defaults, and the key.

    Raises:
        KeyFileError: a file with a private key of the machine cannot be read.
    """
    settings = with_defaults(settings, network)
    if settings.private_key is None:
        key = folder.private_key(peer.name, peer.public_key)
        settings = settings._replace(private_key=key)
    return settings


def warn_of_foreign_key(peer: Peer, settings: QuickSettings, others: str = "the nodes") -> None:
    """Warn if the private key is not that of the Peer, so that ``others`` will not answer.

    It is not an error: the Peer may be changed next.
    """
    if settings.private_key is None:
        return
    own = settings.private_key.public_key()
    if own != peer.public_key:
        note(
            f"the private key does not belong to the peer: its public key is {own}, "
            f"the Peer object has {peer.public_key}; {others} will not answer it"
        )


def servers(values: Sequence[str] | None) -> tuple[Address, ...]:
    """Parse ``--dns``.

    Raises:
        UsageError: a value is not an IP address.
    """
    return tuple(map(_server, split_values(values)))


def _server(text: str) -> Address:
    address = parse_address(text)
    if address is None:
        raise UsageError(f'--dns "{printable(text)}" is not an IP address')
    return address


def domains(values: Sequence[str] | None) -> list[str]:
    """Parse ``--search-domain``.

    Raises:
        UsageError: a value is not a domain name.
    """
    found = split_values(values)
    for text in found:
        if not is_dns_name(text):
            raise UsageError(f'--search-domain "{printable(text)}" is not a domain name')
    return found


def _given_within(option: str, value: int | None, allowed: range) -> int | None:
    return None if value is None else within(option, value, allowed)


def _table(text: str | None) -> str | None:
    if text is None or text in ("off", "auto"):
        return text
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) in _TABLE:
        return text
    raise UsageError(f'--table "{printable(text)}" is not off, auto or the number of a table')
