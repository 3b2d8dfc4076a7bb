"""A view of an agent for tests, and its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.agent.interface import Figures, Settings
from kgctl.mesh.agent_plan import AgentOptions
from kgctl.mesh.cidr import parse_cidr
from kgctl.state.example import TAKEN_AT, Example
from kgctl.state.objects import state_of

if TYPE_CHECKING:
    from kgctl.mesh.state import State


class FixedView(NamedTuple):
    """A view with fixed figures and a fixed network."""

    shown: Figures = Figures()
    known: tuple[State, float] | None = None

    def figures(self) -> Figures:
        return self.shown

    def state(self) -> tuple[State, float] | None:
        return self.known


def settings(**changes: Any) -> Settings:
    subnet = parse_cidr("10.4.0.0/16")
    assert subnet is not None
    values: dict[str, Any] = {
        "hostname": "aws-1", "granularity": "location", "topology_label": "", "port": 51820,
        "subnet": subnet, "interface": "kilo0", "plan": AgentOptions(),
    }  # fmt: skip
    return Settings(**values | changes)


def example() -> tuple[State, float]:
    return state_of(Example().read()), TAKEN_AT
