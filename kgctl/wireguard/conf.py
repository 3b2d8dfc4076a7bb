"""The configuration file format of ``wg setconf`` and ``wg-quick``: a model, and its text.

The text is made from parsed values only (addresses, keys, numbers, checked DNS names), so
nothing that a node or a peer wrote about itself can add a line to it.
Format: wg(8), "CONFIGURATION FILE FORMAT", and wg-quick(8), "CONFIGURATION".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PresharedKey, PublicKey
    from kgctl.wireguard.keys import PrivateKey


MADE_WITH = "made with: "
"""What the comment begins with that says how a file was made."""


class Interface(NamedTuple):
    """The ``[Interface]`` section. ``listen_port`` is a UDP port, ``mtu`` is in bytes.

    ``addresses``, ``dns`` (servers and search domains), ``mtu`` and ``table`` are wg-quick's own,
    which ``wg setconf`` refuses. ``comments`` are single lines, printed as such, and so is
    ``made_with``, which says how the file was made (``MADE_WITH``), for who compares it later.
    ``key_hint`` says in words how a private key gets into it, where it has none.
    """

    addresses: tuple[Cidr, ...] = ()
    private_key: PrivateKey | None = None
    listen_port: int | None = None
    dns: tuple[Address | str, ...] = ()
    mtu: int | None = None
    table: str | None = None
    comments: tuple[str, ...] = ()
    made_with: str = ""
    key_hint: str = ""


class PeerSection(NamedTuple):
    """A ``[Peer]`` section. ``persistent_keepalive`` is in seconds; 0 switches it off."""

    public_key: PublicKey
    allowed_ips: tuple[Cidr, ...] = ()
    endpoint: Endpoint | None = None
    persistent_keepalive: int = 0
    preshared_key: PresharedKey | None = None
    comments: tuple[str, ...] = ()


class Configuration(NamedTuple):
    """A whole file: at most one ``[Interface]``, and any number of ``[Peer]`` sections."""

    interface: Interface | None = None
    peers: tuple[PeerSection, ...] = ()

    def __str__(self) -> str:
        """Return the text; it holds the private key and preshared keys, where there are any."""
        sections = [] if self.interface is None else ["\n".join(_interface(self.interface))]
        sections += ["\n".join(_peer(peer)) for peer in self.peers]
        return "\n\n".join(sections) + "\n" if sections else ""


def _comments(lines: tuple[str, ...]) -> Iterator[str]:
    for line in lines:
        yield f"# {printable(line, 400)}"


def _interface(interface: Interface) -> Iterator[str]:
    yield "[Interface]"
    yield from _comments(interface.comments)
    if interface.made_with:
        yield f"# {printable(interface.made_with, 4000)}"
    if interface.addresses:
        yield f"Address = {', '.join(map(str, interface.addresses))}"
    if interface.private_key is not None:
        yield f"PrivateKey = {interface.private_key.reveal()}"
    numbers = (("ListenPort", interface.listen_port), ("MTU", interface.mtu))
    if interface.dns:
        yield f"DNS = {', '.join(map(str, interface.dns))}"
    for key, value in (*numbers, ("Table", interface.table)):
        if value is not None:
            yield f"{key} = {value}"


def _peer(peer: PeerSection) -> Iterator[str]:
    """Yield the lines in the reference's order of keys."""
    yield "[Peer]"
    yield from _comments(peer.comments)
    if peer.allowed_ips:
        yield f"AllowedIPs = {', '.join(map(str, peer.allowed_ips))}"
    if peer.endpoint is not None:
        yield f"Endpoint = {peer.endpoint}"
    yield f"PersistentKeepalive = {peer.persistent_keepalive}"
    if peer.preshared_key is not None:
        yield f"PresharedKey = {peer.preshared_key.reveal()}"
    yield f"PublicKey = {peer.public_key}"
