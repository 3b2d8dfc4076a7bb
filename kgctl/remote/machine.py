"""One machine over ssh: what it has, a change of its file, and its end: confirmed, or undone.

``machine.sh`` is the other side. Its answers are hostile until they are parsed.
"""

from __future__ import annotations

import secrets
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError
from kgctl.mesh.key import PublicKey
from kgctl.mesh.text import printable
from kgctl.remote.ssh import SshError
from kgctl.wireguard.deployment import Present
from kgctl.wireguard.dump import read_dump

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.mesh.peer import SshTarget
    from kgctl.remote.ssh import Ssh
    from kgctl.wireguard.conf import Configuration
    from kgctl.wireguard.deployment import Plan
    from kgctl.wireguard.dump import Device

_END_OF_DATA = "KGCTL_END_OF_DATA"
_PREFIX = "kgctl "
_READ_SECONDS = 30.0


class MachineError(KgctlError):
    """The machine refused, or something failed on it. ``code`` is that of ``machine.sh``.

    ``said`` is what a program there printed.
    """

    def __init__(self, message: str, code: str = "", said: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.said = said


class Found(NamedTuple):
    """What a machine has: its file, the public key of it, all WireGuard interfaces.

    ``pending``: a change waits for its confirmation. ``enabled``: it starts the tunnel at boot.
    """

    text: str | None
    key: PublicKey | None
    devices: list[Device]
    pending: bool
    enabled: bool

    def device(self, interface: str) -> Device | None:
        """Return the interface of that name, or None."""
        return next((one for one in self.devices if one.name == interface), None)

    def present(self, interface: str) -> Present:
        """Return what the planning needs to know."""
        return Present(self.text, self.key, self.device(interface))


class Applied(NamedTuple):
    """A change: its token, and how the connection was lost, if it was."""

    token: str
    lost: SshError | None = None


class Machine:
    """A machine, and the name of its interface."""

    def __init__(self, ssh: Ssh, target: SshTarget, *, sudo: bool, interface: str) -> None:
        self._ssh, self._target, self._sudo = ssh, target, sudo
        self.interface = interface

    def read(self, seconds: float = _READ_SECONDS) -> Found:
        """Return what the machine has.

        Raises:
            SshError: it cannot be reached.
            MachineError: it lacks a program, or its answer is invalid.
            kgctl.wireguard.dump.DumpError: the answer of wg is invalid.
        """
        said = self._run({"mode": "read"}, seconds)
        key = said.values.get("key")
        return Found(
            "\n".join(said.file) if "present" in said.values else None,
            None if key is None else PublicKey.parse(key),
            read_dump("\n".join(said.dump), "its answer"),
            "pending" in said.values,
            "enabled" in said.values,
        )

    def apply(
        self, plan: Plan, wanted: Configuration, key: PublicKey, undo_after: int, seconds: float
    ) -> Applied:
        """Carry out a plan, which the machine undoes by itself after ``undo_after`` seconds.

        An answer that does not come within ``seconds`` is no error: the change may have cut the
        connection, or not.

        Raises:
            MachineError: the machine refused, or undid the change at once.
        """
        interface = wanted.interface
        token = secrets.token_hex(16)
        settings = {
            "mode": "apply",
            "method": plan.method.value,
            "keep_key": "yes" if interface is None or interface.private_key is None else "no",
            "public": str(key),
            "table": plan.table,
            "token": token,
            "seconds": str(undo_after),
        }
        steps = "".join(f"{verb} {value}\n" for verb, value in plan.steps)
        try:
            self._run(settings, seconds, str(wanted), steps, str(plan.peers_file))
        except SshError as error:
            return Applied(token, error)
        return Applied(token)

    def confirm(self, token: str, seconds: float, *, enable: bool) -> bool:
        """Confirm a change; return whether starting at boot is as ``enable`` wants it.

        Raises:
            SshError: the machine cannot be reached.
            MachineError: it has undone the change.
        """
        settings = {"mode": "confirm", "token": token, "enable": "yes" if enable else "no"}
        return "not-enabled" not in self._run(settings, seconds).values

    def enable(self) -> bool:
        """Have the tunnel started at boot; return whether systemd did it."""
        found = self._run({"mode": "enable", "enable": "yes"}, _READ_SECONDS)
        return "enabled" in found.values

    def roll_back(self, token: str) -> bool:
        """Undo a change at once; return whether that worked."""
        try:
            self._run({"mode": "roll-back", "token": token}, _READ_SECONDS)
        except MachineError as error:
            return error.code == "undone"
        except SshError:
            return False
        return False

    def _run(
        self,
        settings: Mapping[str, str],
        seconds: float,
        file: str = "",
        steps: str = "",
        peers: str = "",
    ) -> _Answer:
        lines = "".join(
            f"{name}={value}\n" for name, value in {**settings, "interface": self.interface}.items()
        )
        script = "".join(
            _function(name, text)
            for name, text in (
                ("kgctl_settings", lines),
                ("kgctl_file", file),
                ("kgctl_steps", steps),
                ("kgctl_peers", peers),
            )
        )
        said = self._ssh.run(self._target, script.encode() + _script(), seconds, sudo=self._sudo)
        answer = _answer(said.output)
        if answer is None:
            raise SshError(said.error or f"ssh ended with exit code {said.code}, without an answer")
        if answer.error is not None:
            raise _refusal(answer.error)
        return answer


@cache
def _script() -> bytes:
    return files("kgctl.remote").joinpath("machine.sh").read_bytes()


def _function(name: str, text: str) -> str:
    """Return a function of the shell that prints a text, which the shell does not look at."""
    lines = text.split("\n")
    assert _END_OF_DATA not in lines  # keys, numbers, addresses and comments
    body = text if text.endswith("\n") or not text else f"{text}\n"
    return f"{name}() {{\ncat <<'{_END_OF_DATA}'\n{body}{_END_OF_DATA}\n}}\n"


class _Answer(NamedTuple):
    """The lines of an answer: single values, the file, the dump, an error."""

    values: dict[str, str]
    file: list[str]
    dump: list[str]
    error: str | None


def _answer(output: bytes) -> _Answer | None:
    """Return the answer in what a machine printed, or None if it is not whole.

    Profiles of shells may print before it.
    """
    text = output.decode("utf-8", "replace")
    lines = [one.removeprefix(_PREFIX) for one in text.split("\n") if one.startswith(_PREFIX)]
    if "start" not in lines or "end" not in lines:
        return None
    lines = lines[lines.index("start") + 1 :]
    found = _Answer({}, [], [], None)
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "end":
            return found
        if kind == "file:":
            found.file.append(rest)
        elif kind == "dump:":
            found.dump.append(rest)
        elif kind == "error":
            found = found._replace(error=rest)
        else:
            found.values[kind] = rest
    return None


_REFUSALS = {
    "root": "the commands there are not run as root: connect as root, or with sudo",
    "missing": "the machine has no {said}: install it there",
    "large": "its file has more than 4 MB: not one of WireGuard",
    "irregular": "its file is a symbolic link, or not a file: replace it by a file there",
    "busy": "another change of it waits for its confirmation: try again in a minute",
    "key": "its private key was changed meanwhile: try again",
    "gone": "it undid the change before that was confirmed",
    "undone": "rolled back, since the change failed{said}",
    "failed": "the change failed, and so did the way back{said}: look there",
}


def _refusal(text: str) -> MachineError:
    code, _, said = text.partition(" ")
    said = printable(said.strip(), 300)
    words = _REFUSALS.get(code)
    if words is None:
        return MachineError(f"invalid answer: {printable(text, 100)}")
    shown = said if code == "missing" else f" ({said})" if said else ""
    return MachineError(words.format(said=shown), code, said)
