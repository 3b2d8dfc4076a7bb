"""``kgctl drift`` on a node of ``kgctl agent``: compare the machine with what its agent sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from kgctl.cli.commands.own_agent import NoAgentError, compare, own_agent
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import answer, note
from kgctl.errors import KgctlError
from kgctl.mesh.text import printable
from kgctl.render.changes import Line, drift_to_object, drift_to_text

if TYPE_CHECKING:
    from kgctl.agent.inspection import Inspection
    from kgctl.cli.core.shared import Shared
    from kgctl.mesh.state import State

_OUTSIDE = "an address outside of the own tunnel"


class NotComparedError(KgctlError):
    """The machine cannot be compared with what its agent sets."""


def show_node_drift(shared: Shared, name: str | None, interface: str | None, *, json: bool) -> None:
    """Print how this machine differs from what its agent sets.

    Raises:
        NoAgentError: no agent set this machine up.
        UsageError: ``name`` is another node.
        NotComparedError: the node takes no part in the network.
        KgctlError: the cluster or the machine cannot be read.
        typer.Exit: always; 1: there is a difference, 2: parts could not be compared.
    """
    try:
        agent = own_agent(interface)
    except NoAgentError as error:
        raise NoAgentError(f"{error}; or compare any machine: give NAME and --dump FILE") from None
    own = agent.settings.hostname
    if name not in (None, own):
        raise UsageError(
            f'this machine is node "{printable(own)}": give --dump FILE for another machine'
        )
    compared = compare(shared, agent)
    found = compared.inspection
    if found.decided is None:
        why = found.problems[0] if found.problems else f"{own} takes no part in the network"
        raise NotComparedError(printable(why, 1000))
    lines = inspection_lines(found, compared.state())
    if json:
        from kgctl.kube.codec.structured import to_json

        answer(to_json(drift_to_object(own, lines)))
    else:
        answer(drift_to_text(own, lines, found.wanted_peers))
    for problem in found.unread:
        note(f"not compared: {printable(problem, 1000)}")
    if any(one.is_fault for one in lines):
        raise typer.Exit(1)
    raise typer.Exit(2 if found.unread else 0)


def inspection_lines(found: Inspection, state: State) -> list[Line]:
    """Return all differences; owners of keys are named by the network, or by the cluster."""
    owners = {str(node.key): f"node {node.name}" for node in state.nodes if node.key}
    owners |= {str(one.public_key): f"peer {one.name}" for one in state.peers if one.public_key}
    lines = [
        Line(one.part.value, None, None, one.wanted, one.found, is_fault=True, about=one.about)
        for one in found.differences
    ]
    lines += (
        Line(
            one.kind.value,
            None if one.key is None else str(one.key),
            None if one.key is None else owners.get(str(one.key)),
            one.wanted,
            one.found,
            one.is_fault,
        )
        for one in found.drifts
    )
    known = {one.key for one in lines if one.kind == "endpoint"}
    lines += (
        Line("endpoint", str(key), owners.get(str(key)), _OUTSIDE, str(endpoint), is_fault=True)
        for key, endpoint in found.inside.items()
        if str(key) not in known
    )
    return lines
