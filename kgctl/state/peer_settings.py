"""What kgctl keeps about a machine in annotations of its Peer object, which Kilo passes over.

An annotation that does not parse counts as absent; ``PeerSettings.problems`` says why.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from kgctl.mesh.cidr import parse_address
from kgctl.mesh.endpoint import PORTS, is_dns_name
from kgctl.mesh.peer import NO_SETTINGS, PeerSettings, SshTarget
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX: Final = "kgctl.dev/"
RELAY: Final = f"{PREFIX}relay"
LOCATION: Final = f"{PREFIX}location"
EXPIRES: Final = f"{PREFIX}expires"
PLATFORM: Final = f"{PREFIX}platform"
SSH: Final = f"{PREFIX}ssh"
SUDO: Final = f"{PREFIX}sudo"

# texts: every command that reads peers imports this, and few peers have settings
_WORD = r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"
_USER = r"[A-Za-z_][A-Za-z0-9_.-]{0,31}"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LAST = 253402300799  # the last second of the year 9999
_ALIAS = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}"


def parse_switch(text: str) -> bool | None:
    """Return a boolean, as ``true`` or ``false``; None for another text."""
    return {"true": True, "false": False}.get(text)


def parse_word(text: str) -> str | None:
    """Return a location or a platform, if ``text`` may be one: a DNS-like word in lower case."""
    return text if re.fullmatch(_WORD, text) else None


def parse_time(text: str) -> int | None:
    """Return a UTC time such as ``2027-01-31T12:00:00Z`` (RFC 3339) in Unix seconds, or None."""
    from datetime import UTC, datetime

    try:
        return int(datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


_DURATION = r"([1-9][0-9]{0,5})([mhdw])"
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


def parse_span(text: str) -> int | None:
    """Return the seconds of a duration such as ``30d`` (m, h, d or w), or None."""
    found = re.fullmatch(_DURATION, text)
    return None if found is None else int(found[1]) * _SECONDS[found[2]]


def parse_expiry(text: str, now: float) -> int | None:
    """Return the Unix seconds of an end that a person wrote, or None if it does not parse.

    It is a duration from ``now`` on, as ``parse_span`` reads it, a day, which means its beginning
    in UTC, or a time as ``parse_time`` reads it.
    """
    span = parse_span(text)
    if span is None:
        return parse_time(f"{text}T00:00:00Z" if re.fullmatch(_DATE, text) else text)
    end = int(now) + span
    return end if end <= _LAST else None


def parse_ssh_target(text: str) -> SshTarget | None:
    """Return where ssh finds a machine, from ``[USER@]HOST[:PORT]``; None if it is not that.

    HOST is an IP address (IPv6 in brackets if a port follows), a DNS name or an alias of
    ssh_config(5). Nothing may look like an option of ssh.
    """
    user, _, rest = text.rpartition("@")
    if ("@" in text and not re.fullmatch(_USER, user)) or not rest:
        return None
    host, port = rest, None
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?", rest)
    if bracketed is not None:
        host, port = bracketed[1], bracketed[2]
    elif rest.count(":") == 1:
        host, port = rest.split(":")
        if not port:
            return None
    if port is not None and not (port.isascii() and port.isdecimal() and int(port) in PORTS):
        return None
    if parse_address(host) is None and not is_dns_name(host) and not re.fullmatch(_ALIAS, host):
        return None
    return SshTarget(host, user, None if port is None else int(port))


PARSERS: Final[Mapping[str, tuple[str, Callable[[str], Any], str]]] = {
    RELAY: ("relay", parse_switch, "true or false"),
    LOCATION: ("location", parse_word, "a word of lower-case letters, digits, dots and hyphens"),
    EXPIRES: ("expires", parse_time, "a UTC time such as 2027-01-31T12:00:00Z"),
    PLATFORM: ("platform", parse_word, "a format of kgctl showconf, such as wg-quick"),
    SSH: ("ssh", parse_ssh_target, "[USER@]HOST[:PORT]"),
    SUDO: ("sudo", parse_switch, "true or false"),
}
"""Each annotation: the field of ``PeerSettings``, how its text is parsed, and what it must be."""


def settings_of(source: Mapping[str, Any]) -> PeerSettings:
    """Return the settings in the annotations of a Peer object."""
    metadata = source.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(annotations, dict) or not annotations:
        return NO_SETTINGS
    found: dict[str, Any] = {}
    problems = []
    for name, (field, parse, expected) in PARSERS.items():
        text = annotations.get(name)
        if text is None:
            continue
        value = parse(text) if isinstance(text, str) else None
        if value is None:
            shown = printable(text, 60) if isinstance(text, str) else type(text).__name__
            problems.append(f'annotation {name} "{shown}" is not {expected}')
        else:
            found[field] = value
    return PeerSettings(**found, problems=tuple(problems)) if found or problems else NO_SETTINGS
