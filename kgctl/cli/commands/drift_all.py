"""``kgctl drift --all``: compare all machines of a network in a folder, over ssh."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import typer

from kgctl.cli.commands.fleet import each, fleet_of, reason
from kgctl.cli.core.output import answer, note
from kgctl.errors import KgctlError
from kgctl.remote.ssh import InterruptedRunError, Ssh
from kgctl.render.changes import Line, drift_to_object, line_text
from kgctl.render.lists.formats import to_columns
from kgctl.render.lists.listing import Column, Listing

if TYPE_CHECKING:
    from kgctl.cli.commands.fleet import Fleet, Member
    from kgctl.cli.core.shared import Shared
    from kgctl.remote.machine import Found
    from kgctl.wireguard.drift import Drift

_IN_SYNC, _DIFFERS, _UNREACHABLE = "in sync", "differs", "unreachable"
_COLUMNS = (Column("MACHINE", "machine"), Column("STATE", "state"), Column("WHAT", "what"))


def show_all_drift(shared: Shared, *, json: bool) -> None:
    """Print how each machine that ssh reaches differs from its file.

    Raises:
        UsageError: there is no network in a folder, or no machine that ssh reaches.
        typer.Exit: always; 1: a machine differs, 2: none does, but one was not read.
    """
    ssh = Ssh()
    fleet = fleet_of(shared, (), ssh, "kgctl drift --all")
    items = [_item(member, found, fleet) for member, found in each(fleet.members, ssh, _read)]
    if json:
        from kgctl.kube.codec.structured import to_json

        answer(to_json({"machines": [_object(one) for one in items]}))
    else:
        answer(to_columns(Listing("machines", "machine", _COLUMNS, tuple(items))))
        for one in items:
            for line in one["lines"] if one["state"] == _DIFFERS else ():
                note(f"{one['machine']}: {line_text(line).strip()}")
    states = {one["state"] for one in items}
    raise typer.Exit(1 if _DIFFERS in states else 2 if _UNREACHABLE in states else 0)


def _read(member: Member) -> Found | KgctlError:
    try:
        return member.machine.read()
    except InterruptedRunError:
        raise
    except KgctlError as error:
        return error


def _item(member: Member, found: Found | KgctlError, fleet: Fleet) -> dict[str, Any]:
    item: dict[str, Any] = {"machine": member.name, "lines": [], "error": None}
    if isinstance(found, KgctlError):
        why = reason(found)
        return {**item, "state": _UNREACHABLE, "what": why, "error": why}
    lines, words = _compared(member, found, fleet)
    state = _DIFFERS if words else _IN_SYNC
    return {**item, "state": state, "what": ", ".join(words), "lines": lines}


def _compared(member: Member, found: Found, fleet: Fleet) -> tuple[list[Line], list[str]]:
    """Return the differences of a machine, and what differs in a few words."""
    import time

    from kgctl.wireguard.deployment import same_file, unfulfilled

    wanted, device = member.wanted, found.device(member.machine.interface)
    if device is None:  # the same key under another name is the same tunnel
        device = next((one for one in found.devices if one.public_key == wanted.key), None)
    drifts: list[Drift] = []
    words: list[str] = []
    if device is None:
        words.append("the tunnel is down")
    else:
        drifts = unfulfilled(device, wanted.configuration, wanted.key, time.time())
        counts = Counter(one.kind.value for one in drifts)
        words += (_counted(kind, count) for kind, count in counts.items())
    if found.text is None:
        words.append("no file")
    elif not same_file(found.text, wanted.configuration):
        words.append("another file")
    if found.pending:
        words.append("a change waits for its confirmation")
    lines = [
        Line(
            one.kind.value,
            None if one.key is None else str(one.key),
            None if one.key is None else fleet.owners.get(one.key),
            one.wanted,
            one.found,
            one.is_fault,
        )
        for one in drifts
    ]
    return lines, words


_OF_PEERS = {
    "missing": "missing",
    "extra": "unexpected",
    "allowed-ips": "with other allowed IPs",
    "keepalive": "with another keepalive",
    "preshared-key": "with another preshared key",
}


def _counted(kind: str, count: int) -> str:
    if kind in _OF_PEERS:
        return f"{count} peer{'' if count == 1 else 's'} {_OF_PEERS[kind]}"
    return {"key": "another key", "listen-port": "another listen port"}.get(kind, kind)


def _object(item: dict[str, Any]) -> dict[str, Any]:
    compared = drift_to_object(item["machine"], item["lines"])
    return {
        "machine": item["machine"],
        "state": item["state"],
        "what": item["what"],
        "differences": compared["differences"],
        "error": item["error"],
    }
