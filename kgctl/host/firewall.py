"""The firewall of a node's agent: what is wanted, and the interface of the programs that set it."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kgctl.errors import HostError, PrivilegeError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kgctl.host.differences import Difference
    from kgctl.mesh.agent_plan import AgentPlan, Chain, FirewallRule

Operation = tuple[str, str, str, str]
"""A kind of call: protocol (``IPv4``, ``IPv6``, ``inet``), operation, table and chain."""

_SBIN = "/usr/sbin:/sbin"
_SECONDS = 60.0  # for thousands of rules on a busy machine; the lock is waited for 5 s
_NOT_ALLOWED = ("Permission denied", "Operation not permitted", "you must be root")


class FirewallRules(NamedTuple):
    """The rules that are wanted; see ``AgentPlan``."""

    ordered: tuple[Chain | FirewallRule, ...] = ()
    first: tuple[FirewallRule, ...] = ()


def rules_of(plan: AgentPlan) -> FirewallRules:
    """Return the firewall rules of a plan."""
    return FirewallRules(plan.ordered, plan.first)


class FirewallProgram(Protocol):
    """A program that sets the agent's rules in the kernel's firewall, and no other rules."""

    @property
    def operations(self) -> Mapping[Operation, int]:
        """The number of calls so far, by kind."""
        ...

    def apply(self, rules: FirewallRules, *, whole: bool = True) -> bool:
        """Set the rules; return whether anything was written.

        Only a ``whole`` round, and the first, reads the kernel's rules; others compare with what
        was set last.

        Raises:
            HostError: the program is missing, or failed; the message has its first line.
        """
        ...

    def differences(self, rules: FirewallRules) -> list[Difference]:
        """Return how the kernel's rules of the agent differ from these; nothing is changed.

        Raises:
            HostError: the program is missing, or failed.
        """
        ...

    def clean_up(self) -> None:
        """Remove the agent's rules and chains, of any earlier agent too, and nothing else.

        Raises:
            HostError: the program is missing, or failed.
        """
        ...


class Calls:
    """Runs programs, and counts the calls."""

    def __init__(self, run: Callable[[Sequence[str], str], str]) -> None:
        self._run = run
        self.operations: Counter[Operation] = Counter()

    def __call__(self, operation: Operation, argv: Sequence[str], stdin: str = "") -> str:
        """Run a program; see ``run_program``."""
        self.operations[operation] += 1
        return self._run(argv, stdin)


def run_program(argv: Sequence[str], stdin: str) -> str:
    """Run a program of the administrator, without a shell; return what it prints.

    Raises:
        PrivilegeError: the program may not do it.
        HostError: the program is missing, failed, or took longer than a minute.
    """
    name = argv[0]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), _SBIN])
    try:
        done = subprocess.run(  # noqa: S603 - fixed words; rules are in the input
            argv,
            input=stdin.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={**os.environ, "PATH": path, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        package = "nftables" if name == "nft" else "iptables"
        raise HostError(f"{name} is not installed: install the package {package}") from None
    except subprocess.TimeoutExpired:
        raise HostError(f"{name} did not finish within {_SECONDS:g} s") from None
    except OSError as error:
        raise HostError(f"cannot start {name}: {error.strerror}") from error
    if done.returncode != 0:
        reason = first_line(done.stderr) or f"exit code {done.returncode}"
        if any(words in reason for words in _NOT_ALLOWED):
            raise PrivilegeError(f"{name} failed: {reason}; CAP_NET_ADMIN is required")
        raise HostError(f"{name} failed: {reason}")
    return done.stdout.decode("utf-8", "surrogateescape")


def first_line(stderr: bytes) -> str:
    """Return the first line that is not a warning, printable; empty if there is none."""
    lines = (line.strip() for line in stderr.decode("utf-8", "replace").splitlines())
    return next((printable(line) for line in lines if line and not line.startswith("#")), "")


def has_ipv6(proc: Path = Path("/proc/net/if_inet6")) -> bool:
    """Return whether this system has IPv6 at all, even if no interface has an address."""
    return proc.exists()
