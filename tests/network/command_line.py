"""kgctl as a process, with its options and output."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.network.commands import run
from tests.network.plan import LEADERS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.network.layout import SmallCluster
    from tests.network.plan import Inside, Machine
    from tests.network.tunnel import KeyPair


@dataclass(frozen=True)
class Kgctl:
    """The command line, with the options that say where the state is."""

    source: tuple[str, ...]
    """Such as ``("--kubeconfig", PATH)`` or ``("-f", PATH)``."""
    directory: Path | None = None
    """Where it is run; None = where the tests are."""

    def __call__(self, *argv: str) -> str:
        """Run ``kgctl ARGV`` and return what it prints on stdout.

        Raises:
            CommandError: it failed; both of its outputs are in the message.
        """
        return run(self.argv(*argv), timeout=60, cwd=self.directory).stdout

    def argv(self, *argv: str) -> list[str]:
        """Return the command line of ``kgctl ARGV``."""
        return [sys.executable, "-m", "kgctl", *self.source, *argv]

    def lead(self, cluster: SmallCluster, inside: Inside = "ipv4") -> None:
        """Configure every leader of the cluster from what ``showconf node`` prints for it."""
        for node in LEADERS:
            cluster.lead(node, self("showconf", "node", node.name), inside)

    def wg_quick(self, machine: Machine, keys: KeyPair, directory: Path, *options: str) -> str:
        """Return the machine's file from ``showconf peer -o wg-quick``, its private key in it."""
        key = directory / f"{machine.name}.key"
        key.touch(mode=0o600)
        key.write_text(f"{keys.private}\n")
        wanted = ("showconf", "peer", machine.name, "-o", "wg-quick", "--private-key", str(key))
        return self(*wanted, *options)
