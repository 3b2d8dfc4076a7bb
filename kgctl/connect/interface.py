"""What a session is made of besides the host: options and a source of state."""

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
"""Seconds without a word from the API server after which its way may be what is wrong."""

_NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of ``kgctl connect``. Times are in seconds, ``mtu`` in bytes.

    ``limits`` are what nodes and peers may claim; ``extra`` are the person's own networks.
    ``address`` is None where none was named: then it is the Peer's own, or the default. So is
    ``listen_port``: then it is that of the Peer's endpoint, or the default. ``cut_off``, which no
    option of the command line sets, is how long the API server is silent before DNS servers are
    taken out of the tunnel.
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
        """Read everything once."""
        ...

    def peers(self) -> PeerStore:
        """Return the Peer objects, to be read and changed."""
        ...

    def host(self) -> str:
        """Return the name or the address that requests go to."""
        ...

    def clock_ahead(self) -> float | None:
        """Return by how many seconds this host's clock is ahead of the server's, if known."""
        ...


class Copy(Protocol):
    """A copy of a cluster's state that is kept up to date; see ``kgctl.state.feeds``."""

    @property
    def heard(self) -> float:
        """When the API server last said anything, in Unix seconds."""
        ...

    @property
    def heard_steady(self) -> float:
        """The same on the clock of ``kgctl.steady.steady``."""
        ...

    def start(self) -> None:
        """Start to follow the cluster."""
        ...

    def read(self) -> Objects | None:
        """Return what is known; None before everything was read once."""
        ...
