"""Brings a machine's new file to it: plan, apply, verify in a new session, confirm."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError
from kgctl.mesh.text import printable
from kgctl.remote.machine import MachineError
from kgctl.remote.ssh import InterruptedRunError, SshError
from kgctl.wireguard.deployment import (
    DeploymentError,
    Method,
    plan,
    same_file,
    unfulfilled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.mesh.key import PublicKey
    from kgctl.remote.machine import Found, Machine
    from kgctl.wireguard.conf import Configuration
    from kgctl.wireguard.deployment import Plan

_PAUSE = 0.5  # seconds between two attempts to reach a machine
_ATTEMPT = 5.0  # seconds for each of them
_LAST_LOOK = 20.0  # seconds to find out how a machine is after it undid a change


class Wanted(NamedTuple):
    """What a machine is to have. ``is_own`` tells whether a public key is, or was, the machine's.

    ``enable``: it is to start the tunnel at boot.
    """

    configuration: Configuration
    key: PublicKey
    is_own: Callable[[PublicKey], bool]
    enable: bool = False


class Outcome(NamedTuple):
    """How it went: the plan, if there is one, and why it failed, if it did.

    ``dry``: nothing was done. ``notes`` are for the user.
    """

    plan: Plan | None = None
    failure: str = ""
    dry: bool = False
    notes: tuple[str, ...] = ()


class FailedError(KgctlError):
    """A change did not come to its end; the message says what became of it."""


def deploy(machine: Machine, wanted: Wanted, undo_after: int, *, dry_run: bool = False) -> Outcome:
    """Give a machine its wanted file.

    Without a confirmation within ``undo_after`` seconds, the machine undoes the change by itself.

    Raises:
        InterruptedRunError: the program is about to end.
    """
    found_plan: Plan | None = None
    try:
        found = machine.read()
        found_plan = _plan(machine, wanted, found)
        if dry_run:
            return Outcome(found_plan, dry=True)
        if found_plan.method is Method.NOTHING:
            enabled = found.enabled or not wanted.enable or machine.enable()
        else:
            enabled = _carry_out(machine, wanted, found, found_plan, undo_after)
    except InterruptedRunError:
        raise
    except KgctlError as error:
        return Outcome(found_plan, failure=str(error))
    return Outcome(found_plan, notes=() if enabled else (_NOT_ENABLED,))


_NOT_ENABLED = "systemd did not enable wg-quick@ for it, so the tunnel does not start at boot"


def _plan(machine: Machine, wanted: Wanted, found: Found) -> Plan:
    if found.pending:
        raise DeploymentError(
            "another change of it waits for its confirmation: try again in a minute"
        )
    _refuse_another_interface(machine, wanted, found)
    interface = wanted.configuration.interface
    given = interface is not None and interface.private_key is not None
    foreign = found.key not in (None, wanted.key)
    if given and found.key is not None and foreign and not wanted.is_own(found.key):
        raise DeploymentError(
            f"there is a file for another tunnel, whose public key is {found.key}: rename that "
            "tunnel, or this network"
        )
    return plan(found.present(machine.interface), wanted.configuration, wanted.key, time.time())


def _refuse_another_interface(machine: Machine, wanted: Wanted, found: Found) -> None:
    for device in found.devices:
        if device.public_key == wanted.key and device.name != machine.interface:
            name = printable(device.name, 30)
            raise DeploymentError(
                f"its tunnel is up as the interface {name}, and would be {machine.interface}: take "
                f"{name} down there first"
            )


def _carry_out(
    machine: Machine, wanted: Wanted, found: Found, change: Plan, undo_after: int
) -> bool:
    """Apply, verify, confirm; return whether starting at boot is as wanted.

    Raises:
        FailedError: the change did not come to its end.
        MachineError: the machine refused, or undid the change at once.
    """
    start = time.monotonic()
    # a change that cuts the connection leaves half of the time for the new session
    token, lost = machine.apply(
        change, wanted.configuration, wanted.key, undo_after, max(1.0, undo_after / 2)
    )
    try:
        seen = _reached_again(machine, start + undo_after)
    except SshError as error:
        raise FailedError(_after_loss(machine, found, error)) from error
    if lost is not None and not seen.pending:
        raise FailedError(f"the change was not made, or was undone: {lost}") from lost
    faults = _faults(machine, wanted, seen)
    if faults:
        undone = machine.roll_back(token)
        raise FailedError(f"{faults}; {'rolled back' if undone else _BY_ITSELF}")
    try:
        return machine.confirm(
            token, max(1.0, start + undo_after - time.monotonic()), enable=(wanted.enable)
        )
    except SshError as error:
        raise FailedError(_after_loss(machine, found, error)) from error


_BY_ITSELF = "it rolls back by itself"


def _reached_again(machine: Machine, deadline: float) -> Found:
    """Return what the machine has, as soon as a new session reaches it.

    Raises:
        SshError: it cannot be reached until ``deadline``.
    """
    while True:
        left = deadline - time.monotonic()
        try:
            return machine.read(max(1.0, min(left, _ATTEMPT)))
        except SshError:
            if deadline - time.monotonic() < _PAUSE:
                raise
            time.sleep(_PAUSE)


def _faults(machine: Machine, wanted: Wanted, seen: Found) -> str:
    """Return what is not as wanted after a change, in words, or an empty text."""
    device = seen.device(machine.interface)
    if device is None:
        return "the tunnel is down after the change"
    if seen.text is None or not same_file(seen.text, wanted.configuration):
        return "its file is not the new one after the change"
    left = unfulfilled(device, wanted.configuration, wanted.key, time.time())
    if not left:
        return ""
    kinds = sorted({one.kind.value.replace("-", " ") for one in left})
    return f"not as wanted after the change: {', '.join(kinds)}"


def _after_loss(machine: Machine, before: Found, error: SshError) -> str:
    """Return what became of a machine that could not be reached after a change."""
    deadline = time.monotonic() + _LAST_LOOK
    while time.monotonic() < deadline:
        try:
            seen = machine.read(_ATTEMPT)
        except SshError:
            time.sleep(_PAUSE)
            continue
        except MachineError:
            break
        if not seen.pending:
            back = seen.text == before.text
            state = "it rolled back and is as before" if back else "look there"
            return f"not reached after the change ({error}); {state}"
        time.sleep(_PAUSE)
    return f"not reached after the change ({error}); {_BY_ITSELF}"
