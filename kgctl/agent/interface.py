"""Inputs of an agent: its settings; and its outputs: what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kgctl.mesh.policy import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kgctl.errors import KgctlError
    from kgctl.host.interfaces import LinkState
    from kgctl.mesh.agent_plan import AgentOptions, AgentPlan
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.state import State
    from kgctl.wireguard.device import DeviceState

KEY_FILE = Path("/var/lib/kilo/key")
"""The private key of a node, in the reference's place and format."""

CNI_FILE = Path("/etc/cni/net.d/10-kilo.conflist")

CHECK_IN = 30.0
"""Seconds between two heartbeats, as of the reference's agent."""

_NO_LIMITS = Limits()


class Firewall(StrEnum):
    """The program that sets the firewall's rules."""

    IPTABLES = "iptables"
    NFTABLES = "nftables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of ``kgctl agent``. Times are in seconds, ``mtu`` in bytes; None is automatic.

    ``plan`` is what the node's plan depends on. ``cni_file`` None means that no CNI file is
    managed. ``limits`` defines what other nodes and peers may claim.
    """

    hostname: str
    granularity: str
    topology_label: str
    port: int
    subnet: Cidr
    interface: str
    plan: AgentOptions
    mtu: int | None = None
    period: float = 30.0
    create_interface: bool = True
    internal_cidrs: tuple[Cidr, ...] = ()
    prioritise_private: bool = False
    cni_file: Path | None = CNI_FILE
    key_file: Path = KEY_FILE
    clean_up: bool = True
    clean_up_interface: bool = False
    firewall: Firewall = Firewall.IPTABLES
    limits: Limits = _NO_LIMITS


class Figures(NamedTuple):
    """The figures of an agent at a moment, for its metrics.

    ``errors`` counts by the reference's events (run, apply, checkin, local, cleanUp);
    ``firewall_operations`` by (protocol, operation, table, chain). ``refusals`` is the number of
    refused networks by claimer and reason. ``reconcile_seconds`` are the seconds of the last
    round, and of all. ``device`` is as last read; ``names`` are the names of its peers by key.
    """

    ready: bool = False
    leads: bool = False
    nodes: int = 0
    peers: int = 0
    reconciles: int = 0
    reconcile_seconds: tuple[float, float] = (0.0, 0.0)
    errors: Mapping[str, int] = {}
    firewall_operations: Mapping[tuple[str, str, str, str], int] = {}
    refusals: Mapping[tuple[str, str], int] = {}
    device: DeviceState | None = None
    names: Mapping[str, str] = {}


class View(Protocol):
    """What an agent tells of itself; every method may be called from any thread."""

    def figures(self) -> Figures:
        """Return the current figures."""
        ...

    def state(self) -> tuple[State, float] | None:
        """Return the network as last read, and the time at which heartbeats are judged.

        None until it was read once.
        """
        ...


class NodeNetwork(Protocol):
    """The routes, policy rules and firewall rules that an agent sets on its machine."""

    def apply(self, plan: AgentPlan, *, private: LinkState | None, whole: bool) -> list[KgctlError]:
        """Set what a plan says; ``private`` is the link of the node's internal IP.

        A ``whole`` round compares with what the machine has; others with what was set last.
        Returns the errors; one that fails stops no other.
        """
        ...

    def clean_up(self, failed: Callable[[str, KgctlError], None]) -> None:
        """Remove all of it, and nothing else; a failed step is passed on, and the next is taken."""
        ...

    def close(self) -> None:
        """Close every socket, and end every thread; what is set stays."""
        ...

    def firewall_operations(self) -> Mapping[tuple[str, str, str, str], int]:
        """Return the numbers of operations so far; see ``Figures``."""
        ...
