"""The input of the rules about the agent of one node: what was seen on its machine."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.node import READY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Kind(StrEnum):
    """A kind of difference between a machine and what its agent sets."""

    DEVICE = "WireGuard device"
    INTERFACE = "interfaces"
    ROUTE = "routes"
    RULE = "policy rules"
    FIREWALL = "firewall rules"


class Lasting(NamedTuple):
    """A sentence, untrusted, and since when it is true (Unix seconds; 0: unknown)."""

    text: str
    since: int = 0


class SilentPeer(NamedTuple):
    """A peer without a session: its last handshake in words, and the possible reasons."""

    name: str
    last: str
    reasons: tuple[str, ...]


class Parameter(NamedTuple):
    """A parameter of the kernel that has another value than the node needs."""

    name: str
    found: str
    wanted: str


class NodeAgent(NamedTuple):
    """What was seen of the agent of ``node``, at ``now`` (Unix seconds).

    ``runs`` is None if unknown; ``started`` is when the agent did (0: unknown). ``heartbeat`` is
    the age of the node's last one in seconds, None without any; ``announced`` means that the
    node's annotations are an agent's. ``differences`` are sentences by kind; ``inside`` maps peers
    to endpoints that lie in the node's own tunnel. ``unseen`` is what could not be compared.
    All texts are untrusted.
    """

    node: str
    interface: str
    now: float
    runs: bool | None
    started: int = 0
    announced: bool = True
    heartbeat: float | None = 0.0
    differences: Mapping[Kind, Sequence[str]] = {}
    silent: tuple[SilentPeer, ...] = ()
    refused: tuple[Lasting, ...] = ()
    failing: tuple[Lasting, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    inside: Mapping[str, str] = {}
    unseen: tuple[str, ...] = ()

    @property
    def is_silent(self) -> bool:
        """Whether the last heartbeat is too old for the node to take part."""
        return self.heartbeat is None or self.heartbeat >= READY_SECONDS
