"""Options of ``kgctl peer add`` and ``set`` that become annotations of a Peer."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from kgctl.cli.core.arguments import UsageError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

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
            found[name] = text or None
        return found
