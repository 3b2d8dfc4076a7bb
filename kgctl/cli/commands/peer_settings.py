"""Options of ``kgctl peer add`` and ``set`` that become annotations of a Peer."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from kgctl.cli.core.arguments import UsageError
from kgctl.mesh.text import listed, nearest, printable

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

    def annotations(self) -> dict[str, str | None]:
        """Return the annotations to set; None for one to remove.

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
        return found


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
