"""Machines outside the cluster, from Peer objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PresharedKey, PublicKey


KEEPALIVES = range(1 << 16)
"""The keepalives that WireGuard holds, in seconds; 0 is none. Its messages have 16 bits for them
(include/uapi/linux/wireguard.h, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL)."""

NAT_KEEPALIVE = 25
"""Seconds; wireguard.com/quickstart, "NAT and Firewall Traversal Persistence"."""


class SshTarget(NamedTuple):
    """Where ssh finds a machine; an empty ``user`` or no ``port`` leave it to ssh's own files."""

    host: str
    user: str = ""
    port: int | None = None


class PeerSettings(NamedTuple):
    """What kgctl keeps about a machine besides Kilo's Peer object.

    ``expires`` is in Unix seconds. ``problems`` are values that do not parse, in words; they count
    as absent.
    """

    relay: bool = False
    location: str = ""
    expires: int | None = None
    platform: str = ""
    ssh: SshTarget | None = None
    sudo: bool = False
    problems: tuple[str, ...] = ()


NO_SETTINGS = PeerSettings()


class Peer(NamedTuple):
    """A valid Peer. ``persistent_keepalive`` is one of ``KEEPALIVES``.

    ``public_key`` is None for the all-zero key, which Kilo treats as no key. In a topology
    ``endpoint`` may be one that nodes discovered; then ``replaced_endpoint`` is the Peer's own.
    """

    name: str
    allowed_ips: tuple[Cidr, ...]
    public_key: PublicKey | None
    preshared_key: PresharedKey | None = None
    persistent_keepalive: int = 0
    endpoint: Endpoint | None = None
    discovered: bool = False
    replaced_endpoint: Endpoint | None = None
    settings: PeerSettings = NO_SETTINGS

    @property
    def annotated_endpoint(self) -> Endpoint | None:
        """The endpoint of the Peer object, regardless of what nodes discovered."""
        return self.replaced_endpoint if self.discovered else self.endpoint

    @property
    def location(self) -> str:
        """Where the machine is, or empty."""
        return self.settings.location

    @property
    def is_ready(self) -> bool:
        """Whether the peer takes part until it expires: it has a key and an allowed IP."""
        return bool(self.allowed_ips) and self.public_key is not None

    def is_expired(self, now: float) -> bool:
        """Return whether the peer's time is over at ``now``, in Unix seconds."""
        return self.settings.expires is not None and self.settings.expires <= now


class InvalidPeer(NamedTuple):
    """A Peer object that takes no part, and the problems of its fields, in words.

    ``allowed_ips`` are those that parse: they help to repair the object. Kilo ignores it too,
    unless ``only_kilo_accepts_it``: then its only problem is a value that WireGuard cannot hold.
    """

    name: str
    problems: tuple[str, ...]
    allowed_ips: tuple[Cidr, ...] = ()
    only_kilo_accepts_it: bool = False


def is_own_address(cidr: Cidr) -> bool:
    """Return whether an allowed IP can be the peer's own address, not a network behind it."""
    return cidr.host_bits == 0 or int(cidr.address) != cidr.network_value
