"""Whether the names of endpoints resolve: asked by the commands that look at them or write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.output import note
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kgctl.diagnosis.subject import Subject
    from kgctl.host.lookup import LookedUp
    from kgctl.mesh.endpoint import Endpoint

    LookUp = Callable[[Iterable[str]], LookedUp]

_WHAT = "whether the names of endpoints resolve"


def look_up(names: Iterable[str]) -> LookedUp:
    """Ask this machine's resolver for names, all at once, for some seconds at most."""
    from kgctl.host.lookup import look_up_all

    return look_up_all(names)


def names_looked_up(
    subject: Subject, now: float, *, offline: bool, ask: LookUp = look_up
) -> tuple[Subject, Mapping[str, str]]:
    """Look up the names that the agents of a cluster resolve at ``now`` (Unix seconds).

    Returns:
        The subject, with what could not be looked at, and the names that do not resolve, each
        with why.
    """
    from kgctl.diagnosis.rules.resolution import endpoint_names

    names = endpoint_names(subject.state, now)
    if not names:
        return subject, {}
    if offline:
        return _unseen(subject, f"{_WHAT} (--offline)"), {}
    found = ask(names)
    if found.unasked:
        name, why = next(iter(found.unasked.items()))
        more = f" and {len(found.unasked) - 1} more" if len(found.unasked) > 1 else ""
        subject = _unseen(subject, f"{_WHAT}: {printable(name)}{more} ({printable(why)})")
    return subject, found.missing


def _unseen(subject: Subject, what: str) -> Subject:
    return subject._replace(unseen=(*subject.unseen, what))


def warn_of_address(endpoint: Endpoint | None) -> None:
    """Print on stderr if an endpoint is an address that no other machine can dial."""
    from kgctl.diagnosis.rules.undialable import called, is_never_dialled

    if endpoint is not None and is_never_dialled(endpoint):
        note(f"warning: {called(endpoint)}: no other machine can dial it (kgctl explain KG309)")


def warn_of_name(endpoint: Endpoint | None, ask: LookUp | None) -> None:
    """Print on stderr if an endpoint has a name that does not resolve; None asks nobody."""
    if ask is None or endpoint is None or not isinstance(endpoint.host, str):
        return
    why = ask([endpoint.host]).missing.get(endpoint.host)
    if why is not None:
        note(
            f"warning: {endpoint.host} does not resolve here: {printable(why, 100)}; while it does "
            "not resolve on the nodes, no agent applies any change (kgctl explain KG505)"
        )
