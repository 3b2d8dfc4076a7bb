"""Limits on the claims of nodes and peers: options, settings, and warnings of refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from kgctl.cli.core.arguments import UsageError, cidrs, split_values
from kgctl.cli.core.hints import message
from kgctl.cli.core.output import note
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from kgctl.cli.core.settings import SettingsFile
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.policy import Limits, Refusal, Summary

OnlyNetworks = Annotated[
    list[str] | None,
    typer.Option(
        "--only-networks",
        metavar="CIDR,...",
        help="Grant nodes and peers only what lies in these networks. Repeatable.",
    ),
]
Deny = Annotated[
    list[str] | None,
    typer.Option(
        "--deny", metavar="CIDR,...", help="Refuse these networks to everybody. Repeatable."
    ),
]
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="NAME=CIDR,...",
        help="Grant this node or peer (*: all) public networks, wide ones, or a default route. "
        "Repeatable.",
    ),
]
TABLE: dict[str, type] = {"only-networks": list, "deny": list, "accept": list}
"""The keys of the table ``[limits]`` of a settings file: lists of texts, like the options."""


class LimitOptions(NamedTuple):
    """The options, unparsed."""

    only_networks: list[str] | None = None
    deny: list[str] | None = None
    accept: list[str] | None = None

    def over_settings(self, file: SettingsFile | None = None) -> LimitOptions:
        """Merge the options over the settings file; denials and consents of both count.

        ``file`` defaults to the settings file in the working directory.

        Raises:
            UsageError: the settings file is invalid.
        """
        from kgctl.cli.core.settings import settings_file

        table = (file or settings_file()).table("limits", TABLE)
        return LimitOptions(
            self.only_networks or table.get("only-networks"),
            [*(self.deny or ()), *table.get("deny", ())] or None,
            [*(self.accept or ()), *table.get("accept", ())] or None,
        )

    def limits(self) -> Limits:
        """Parse the options.

        Raises:
            UsageError: a value is not a network, or a consent lacks a name.
        """
        from kgctl.mesh.cidr import parse_cidr
        from kgctl.mesh.policy import Limits

        accept: dict[str, tuple[Cidr, ...]] = {}
        for text in split_values(self.accept):
            name, equals, network = text.partition("=")
            cidr = parse_cidr(network.strip())
            if not equals or not name.strip() or cidr is None:
                raise UsageError(
                    f'--accept "{printable(text)}" does not have the form NAME=CIDR, such as '
                    "edge-1=198.51.100.0/24"
                )
            accept[name.strip()] = (*accept.get(name.strip(), ()), cidr.masked())
        return Limits(
            tuple(one.masked() for one in cidrs("--only-networks", self.only_networks)),
            tuple(one.masked() for one in cidrs("--deny", self.deny)),
            accept,
        )


class Warned:
    """Warns of refusals, once for each claimer, network and reason."""

    def __init__(self) -> None:
        from kgctl.mesh.policy import Untold

        self._untold = Untold()

    def warn(self, refusals: Iterable[Refusal]) -> None:
        """Print a line for each claimer and reason with a new refusal."""
        for line in self.lines(refusals):
            note(line)

    def lines(self, refusals: Iterable[Refusal]) -> list[str]:
        """Return the lines for new refusals that the user did not ask for."""
        from kgctl.mesh.policy import summaries

        return [f"refused: {one}{_remedy(one)}" for one in summaries(self._untold.pick(refusals))]


def _remedy(summary: Summary) -> str:
    """Return the option that consents, if consent is possible."""
    return f"; if that is right: --accept {summary.consent}" if summary.consent else ""


def warn_of_claims(name: str, texts: Sequence[str] | None, use: str = "allowed IP") -> None:
    """Warn of the networks that machines will refuse to the node or peer that claims them.

    ``use`` is a value of ``kgctl.mesh.claims.Use``. Texts that are not networks are skipped: the
    code that parses them reports them.
    """
    from kgctl.mesh.cidr import parse_cidr
    from kgctl.mesh.claims import Claim, Use
    from kgctl.mesh.policy import Policy, summaries

    networks = filter(None, map(parse_cidr, split_values(texts)))
    verdict = Policy().judge([Claim(one, Use(use), name) for one in networks])
    for found in summaries(verdict.refusals):
        consent = f", until they join with --accept {found.consent}" if found.consent else ""
        note(
            f"machines that join by kgctl will refuse {found.networks}: {found.first.why}{consent}"
        )


def warn_of_unknown(limits: Limits, known: Collection[str]) -> None:
    """Warn of consents for names that no node or peer has."""
    from kgctl.mesh.policy import unknown_names

    for unknown in unknown_names(limits, known):
        note(message(unknown))
