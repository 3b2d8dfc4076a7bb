"""Options of ``kgctl peer add`` and ``set`` that become annotations of a Peer."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import note
from kgctl.mesh.text import listed, nearest, printable, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.wireguard.formats import MachineFormat

NOTHING: Final[Mapping[str, str | None]] = MappingProxyType({})
"""No settings to change."""


class SettingOptions(NamedTuple):
    """The options, unparsed; None for one that was not given, empty for one to remove."""

    relay: bool | None = None
    location: str | None = None
    platform: str | None = None
    ssh: str | None = None
    sudo: bool | None = None
    expires: str | None = None

    def annotations(self, *, past: bool = True) -> dict[str, str | None]:
        """Return the annotations to set; None for one to remove.

        Without ``past``, the end of a peer must be later than now.

        Raises:
            UsageError: a value is invalid.
        """
        from kgctl.state import peer_settings

        found: dict[str, str | None] = {}
        for name, switch in ((peer_settings.RELAY, self.relay), (peer_settings.SUDO, self.sudo)):
            if switch is not None:
                found[name] = "true" if switch else None
        for name, text in (
            (peer_settings.LOCATION, self.location),
            (peer_settings.PLATFORM, self.platform),
            (peer_settings.SSH, self.ssh),
        ):
            if text is None:
                continue
            field, parse, expected = peer_settings.PARSERS[name]
            if text and parse(text) is None:
                raise UsageError(f'--{field} "{printable(text, 60)}" is not {expected}')
            if text and name == peer_settings.PLATFORM:
                platform_format(text, "--platform")
            found[name] = text or None
        if self.expires is not None:
            found[peer_settings.EXPIRES] = _end(self.expires, past=past)
        return found


def _end(text: str, *, past: bool) -> str | None:
    """Return ``--expires`` as the annotation; None if it is empty."""
    from kgctl.state.peer_settings import parse_expiry

    if not text:
        return None
    now = time.time()
    end = parse_expiry(text, now)
    if end is None:
        raise UsageError(
            f'--expires "{printable(text, 60)}" is not a duration such as 30d (m, h, d, w), a day '
            "such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z"
        )
    if end <= now and not past:
        raise UsageError(f"--expires {printable(text, 60)} is in the past: {time_text(end)}")
    return time_text(end)


_UNKNOWN_TO_KILO = (
    "Kilo's own agents do not know this annotation: on nodes that they run on, the peer keeps its "
    "access until it is deleted, so run kgctl peer prune regularly (kgctl explain KG418)"
)


def note_expiry(settings: Mapping[str, str | None], *, in_cluster: bool) -> None:
    """Print on stderr when a peer with these new settings expires, and what that does not do."""
    from kgctl.state.peer_settings import EXPIRES, parse_time

    end = settings.get(EXPIRES)
    if end is None:
        return
    over = (parse_time(end) or 0) <= time.time()
    note(f"it {'has expired' if over else 'expires'}: {end}")
    if in_cluster:
        note(_UNKNOWN_TO_KILO)


def platform_format(text: str, what: str) -> MachineFormat:
    """Return the format of whole files for a machine's platform; errors call it ``what``.

    Raises:
        UsageError: there is no such format.
    """
    from kgctl.wireguard.formats import WHOLE_FILES

    names = [one.name for one in WHOLE_FILES]
    if text in names:
        return WHOLE_FILES[names.index(text)]
    close = nearest(text, names)
    hint = f'; did you mean "{close}"?' if close else ""
    raise UsageError(
        f'{what} "{printable(text, 60)}" is not the format of a machine\'s file: give '
        f"{listed(names, 'or')}{hint}"
    )
