"""Inputs of a session: its options, and the interfaces to a live cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kgctl.mesh.policy import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.connect.identity import PeerStore
    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.state.interface import Objects


CUT_OFF = 180.0
"""Seconds of silence of the API server after which the path to it may be broken."""

_NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of ``kgctl connect``. Times are in seconds, ``mtu`` in bytes.

    ``limits`` defines what nodes and peers may claim; ``extra`` are networks that the user routes
    into the tunnel. ``address`` None means the Peer's own address, or the default; ``listen_port``
    None means the port of the Peer's endpoint, or the default. ``cut_off``, which no command-line
    option sets, is how long the API server must be silent before DNS servers are kept out of the
    tunnel.
    """

    name: str
    interface: str
    address: Cidr | None
    extra: tuple[Cidr, ...]
    private_key: Path | None
    listen_port: int | None
    keepalive: int
    mtu: int
    period: float
    clean_up: bool
    granularity: str
    topology_label: str
    dns: tuple[Address, ...] = ()
    search_domains: tuple[str, ...] = ()
    limits: Limits = _NO_LIMITS
    cut_off: float = CUT_OFF


class Cluster(Protocol):
    """A live cluster; see ``kgctl.state.api_server.ApiServer``."""

    def read(self) -> Objects:
        """Read all objects once."""
        ...

    def peers(self) -> PeerStore:
        """Return the access to Peer objects."""
        ...

    def host(self) -> str:
        """Return the name or address that requests go to."""
        ...

    def clock_ahead(self) -> float | None:
        """Return the seconds by which this host's clock is ahead of the server's, if known."""
        ...


class Copy(Protocol):
    """An up-to-date copy of a cluster's state; see ``kgctl.state.feeds``."""

    @property
    def heard(self) -> float:
        """The time of the API server's last answer, in Unix seconds."""
        ...

    @property
    def heard_steady(self) -> float:
        """The same time on the clock of ``kgctl.steady.steady``."""
        ...

    def start(self) -> None:
        """Start following the cluster."""
        ...

    def read(self) -> Objects | None:
        """Return the objects, or None until all of them were read once."""
        ...
