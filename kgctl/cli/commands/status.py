"""``kgctl status [INTERFACE...]``: show the state of this host's tunnels."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from kgctl.cli.core.output import answer, note
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.errors import KgctlError
from kgctl.mesh.readiness import age
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.connect.status import PeerStatus
    from kgctl.host.links import NetLink
    from kgctl.host.record import KnownProblem, KnownRefusal, Record
    from kgctl.wireguard.device import DeviceState

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_KILO = "kilo0"  # the interface of Kilo's agent, and of connect by default
_MEASURED = 1.0  # seconds between the two reads that give a rate
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_TITLES = ("NAME", "ENDPOINT", "HANDSHAKE", "RECEIVED", "SENT", "CONNECTED")


class Format(StrEnum):
    """The format of the status; the default is a table."""

    JSON = "json"
    YAML = "yaml"


class NoInterfaceError(KgctlError):
    """There is no tunnel to show."""


@app.command()
@with_shared
def status(
    shared: Shared,
    interfaces: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INTERFACE...]",
            help="WireGuard interfaces. Default: those of kgctl connect, and kilo0.",
        ),
    ] = None,
    output: Annotated[
        Format | None, typer.Option("--output", "-o", help="The output format. Default: a table.")
    ] = None,
) -> None:
    """Show the state of this host's tunnels, and why a peer is not connected.

    A peer without a handshake for three minutes counts as not connected.
    """
    from kgctl.host.links import Links
    from kgctl.host.privileges import require_linux

    require_linux()
    links = Links()
    try:
        chosen = _links(links, interfaces or [])
    finally:
        links.close()
    shown = _look(chosen)
    if output is None:
        _print(shown)
        return
    from kgctl.kube.codec.structured import to_json, to_yaml

    items = [
        {
            "interface": tunnel.name,
            **_device(tunnel.state),
            "peers": [one.as_dict() for one in tunnel.peers],
            "refusals": [asdict(one) for one in tunnel.refusals],
            **({} if tunnel.agent is None else {"agent": tunnel.agent.as_dict()}),
        }
        for tunnel in shown
    ]
    answer((to_json if output is Format.JSON else to_yaml)({"items": items}))


def _links(links: Any, names: list[str]) -> list[NetLink]:
    from kgctl.host.record import recorded_interfaces

    wanted = names or sorted({*recorded_interfaces(), _KILO})
    found = [link for name in wanted if (link := links.find(name)) is not None]
    if names and len(found) < len(names):
        missing = min(set(names) - {link.name for link in found})
        raise NoInterfaceError(f'this machine has no interface "{printable(missing)}"')
    if not found:
        raise NoInterfaceError(
            "this machine has no tunnel of Kilo: give an interface, or join with: kgctl connect"
        )
    return found


class _Agent(NamedTuple):
    """The agent that has the interface; ``runs`` is None if unknown.

    It runs, or ran, since ``started`` (Unix seconds); ``problems`` are those of its last round.
    """

    node: str
    runs: bool | None
    started: int
    problems: tuple[KnownProblem, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "running": self.runs,
            "started": self.started or None,
            "problems": [asdict(one) for one in self.problems],
        }

    def __str__(self) -> str:
        who = f"the agent of node {printable(self.node)}"
        if self.runs is False:
            return f"{who} does not run"
        return f"{who} runs{_lasting(self.started)}"


def _agent_of(record: Record | None) -> _Agent | None:
    from kgctl.host.record import is_locked

    if record is None or not record.node:
        return None
    runs = is_locked(record.interface)
    return _Agent(record.node, runs, record.started, record.problems)


def _lasting(since: int) -> str:
    return f" for {age(time.time() - since)}" if since else ""


class _Tunnel(NamedTuple):
    """An interface and its state; ``refusals`` are those of the last round of its program."""

    name: str
    state: DeviceState
    peers: list[PeerStatus]
    refusals: tuple[KnownRefusal, ...]
    agent: _Agent | None


def _look(links: Sequence[NetLink]) -> list[_Tunnel]:
    """Read the devices twice, for rates, and return the state of each."""
    from kgctl.connect.status import peer_statuses
    from kgctl.host.privileges import source_towards
    from kgctl.host.record import record_to_show
    from kgctl.host.tunnel import open_device

    devices = [(link, open_device(link)) for link in links]
    for link, device in devices:
        if device is None:
            raise NoInterfaceError(f'the interface "{link.name}" is not a WireGuard interface')
    start = time.monotonic()
    before = [device.read() for _, device in devices if device is not None]
    time.sleep(_MEASURED)
    found = []
    for (link, device), past in zip(devices, before, strict=True):
        assert device is not None
        record, state = record_to_show(link.name), device.read()
        statuses = peer_statuses(
            state,
            record.peers if record else {},
            now=time.time(),
            source=source_towards,
            before=past,
            seconds=time.monotonic() - start,
        )
        refusals = record.refusals if record else ()
        found.append(_Tunnel(link.name, state, statuses, refusals, _agent_of(record)))
        device.close()
    return found


def _device(state: DeviceState) -> dict[str, Any]:
    key = state.private_key
    public = None if key is None else str(key.public_key())
    return {"publicKey": public, "listenPort": state.listen_port}


def _print(shown: Sequence[_Tunnel]) -> None:
    for number, tunnel in enumerate(shown):
        statuses = tunnel.peers
        connected = sum(one.connected for one in statuses)
        gap = "\n" if number else ""
        agent = "" if tunnel.agent is None else f"; {tunnel.agent}"
        heading = f"{gap}{tunnel.name}: {connected} of {len(statuses)} peers connected{agent}\n"
        if sys.stdout.isatty():
            from rich.console import Console

            answer(heading)
            Console(highlight=False).print(status_table(statuses))
        else:
            answer(heading + _columns(statuses))
    for tunnel in shown:
        for one in tunnel.peers:
            for sentence in (*one.reasons, *one.doubts):
                note(f"{_name(one)}: {sentence}")
    for tunnel in shown:
        for problem in () if tunnel.agent is None else tunnel.agent.problems:
            note(f"fails{_lasting(problem.since)}: {printable(problem.message, 1000)}")
        for refusal in tunnel.refusals:
            if not refusal.expected:
                note(f"refused{_lasting(refusal.since)}: {printable(refusal.message, 1000)}")


def _cells(one: PeerStatus) -> list[str]:
    handshake = "never" if one.handshake_age is None else f"{age(one.handshake_age)} ago"
    return [
        _name(one),
        one.endpoint or one.wanted_endpoint or "-",
        handshake,
        _amount(one.received, one.receiving),
        _amount(one.sent, one.sending),
        "yes" if one.connected else "no",
    ]


def _name(one: PeerStatus) -> str:
    return printable(one.name) or one.public_key


def _amount(total: int, rate: float | None) -> str:
    return _bytes(total) + ("" if rate is None else f" ({_bytes(rate)}/s)")


def _bytes(count: float) -> str:
    size, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == _UNITS[0] else f"{size:.1f} {unit}"


def _columns(statuses: Sequence[PeerStatus]) -> str:
    table = [list(_TITLES), *map(_cells, statuses)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = (
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    return "".join(f"{line}\n" for line in lines)


def status_table(statuses: Sequence[PeerStatus]) -> Any:
    """Return a rich table of the peers."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in _TITLES:
        table.add_column(title, overflow="fold")
    for one in statuses:
        cells = [Text(cell) for cell in _cells(one)]
        cells[-1].stylize("green" if one.connected else "red")
        table.add_row(*cells)
    return table
