"""What the rules look at: the state that was read, and what else was seen on the way."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from kgctl.kilo import TOPOLOGY_LABEL
from kgctl.mesh.policy import Limits
from kgctl.mesh.state import AUTO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.platform import Platform
    from kgctl.mesh.state import State

_NONE: Mapping[str, Mapping[str, str]] = MappingProxyType({})

_NO_FIELDS: Mapping[str, Sequence[str]] = MappingProxyType({})
_NO_PLATFORMS: Mapping[str, Platform] = MappingProxyType({})

_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class Subject(NamedTuple):
    """All that was read.

    ``node_annotations``, ``peer_annotations``, ``node_labels`` and ``peer_labels`` hold each
    object's annotations and labels by its name, as they are: untrusted text. ``platforms`` has the
    nodes that say something there. ``topology_label`` is the label that locations were read from.
    ``live`` is whether a cluster was read, and not files alone. ``clock_ahead`` is by how many
    seconds this machine's clock is ahead of the API server's, negative if behind; None where that
    is not known, or where another time than now is judged by.

    ``unknown_fields`` has, by the name of each Peer that has fields which no Peer has, a clause
    about each.

    ``peers_served`` is None where that could not be told (files do
    not tell it); ``peer_versions`` names the versions of the Peer API that were seen besides
    v1alpha1, which is the one that Kilo reads. ``unseen`` says, in words, what could not be
    looked at.
    """

    state: State
    node_annotations: Mapping[str, Mapping[str, str]] = _NONE
    peer_annotations: Mapping[str, Mapping[str, str]] = _NONE
    peers_served: bool | None = None
    peer_versions: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    node_labels: Mapping[str, Mapping[str, str]] = _NONE
    peer_labels: Mapping[str, Mapping[str, str]] = _NONE
    platforms: Mapping[str, Platform] = _NO_PLATFORMS
    topology_label: str = TOPOLOGY_LABEL
    live: bool = False
    unknown_fields: Mapping[str, Sequence[str]] = _NO_FIELDS
    clock_ahead: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was read that a rule could look at."""
        state = self.state
        return not (state.nodes or state.peers or state.invalid_peers or self.peer_versions)


class Settings(NamedTuple):
    """How it is looked at: the time in Unix seconds, the granularity, the service networks.

    ``missing_names`` are names of endpoints that do not resolve, each with why. ``limits`` are what
    the machines that join grant.
    """

    now: float
    granularity: str = AUTO
    service_cidrs: tuple[Cidr, ...] = ()
    missing_names: Mapping[str, str] = _NO_NAMES
    limits: Limits = Limits()
