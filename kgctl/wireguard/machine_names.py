"""Names of machines in the comments of WireGuard files, as server programs write them.

WireGuard has no names, so each program has a comment of its own:

* pivpn: ``### begin NAME ###`` and ``### end NAME ###`` around a section, and ``#[disabled] ``
  before each line of a client that is off (scripts/wireguard/makeCONF.sh, disableCONF.sh)
* Nyr's script: ``# BEGIN_PEER NAME`` and ``# END_PEER NAME``
* angristan's script: ``### Client NAME``; wg-easy: ``# Client: NAME (ID)``
* wireguard-ui (templates/wg.conf): ``# ID:``, ``# Name: NAME``, ``# Email:`` and so on
* wg-meshconf: ``# Name: NAME``; Ansible's roles: ``# Name = NAME``
* the Prometheus exporter: ``# friendly_name = NAME``
* algo, and people: ``# NAME`` alone, right before ``[Peer]`` or in it

A comment is untrusted, and may be a line with a key that somebody turned off. Such a line never
becomes a name.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from kgctl.wireguard.parse import INTERFACE_KEYS, PEER_KEYS, QUICK_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 200  # characters of a comment that are looked at
_LONGEST = 63  # of a name: RFC 1123, a label
_WORDS = 4  # a comment with more is a sentence, not a name

_KEYS = INTERFACE_KEYS | PEER_KEYS | QUICK_KEYS
_HEADING = re.compile(r"\[[^\]]*\]")
_DISABLED = "#[disabled]"
_BEGIN = re.compile(r"(?:#+ *begin|# *BEGIN_PEER) +(?P<name>\S.*?)(?: +#+)?")
_END = re.compile(r"(?:#+ *end|# *END_PEER) +\S.*")
_NAMED = (
    _BEGIN,
    re.compile(r"#+ *Client:? +(?P<name>\S.*?)(?: +\([^()]*\))?"),
    re.compile(r"[#;]+ *(?:Name|friendly_name) *[:=] *(?P<name>\S.*)", re.IGNORECASE),
    re.compile(r"# the peer (?P<name>\S+), for: .*"),
    re.compile(r"# peer (?P<name>\S+)"),
)
"""Comments that say that they are a name; the last two are kgctl's own."""
_PLAIN = re.compile(r"[#;]+ *(?P<name>[^\s#;=:\[\]][^#;=:\[\]]*)")
_OFF = re.compile(r"[#;]+ *(?:\[.*|(?P<key>[A-Za-z]{2,40}[0-9]?) *=.*)")
"""A heading or a key that somebody turned off; what is before it is not about the next section."""
_SECRET = re.compile(r"[A-Za-z0-9+/]{40}")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")


class Heading(NamedTuple):
    """The heading of a section: its line number, from 1, and the name in comments, or empty."""

    number: int
    name: str


def headings(text: str) -> list[Heading]:
    """Return the heading of each section, with the name that comments give it, untrusted.

    Comments after the last value of a section belong to the next one, unless they are attached to
    that value, and an empty line follows.
    """
    found: list[Heading] = []
    above: list[str] = []
    within: list[str] = []
    valued = False
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        heading, _, comment = line.partition("#")
        if _HEADING.fullmatch(heading.strip()):
            if valued and "" in above:
                end = above.index("")
                within += filter(_named, above[:end])
                above = above[end:]
            _name_last(found, within)
            found.append(Heading(number, _name(above, plain=bool(above) and above[-1] != "")))
            above, within, valued = [], [f"#{comment}"] if comment else [], False
        elif line.startswith(("#", ";")):
            comment = line[:_MOST]
            if _END.fullmatch(comment) or _is_off(comment):
                above = []
            else:
                above.append(comment)
                if not valued:
                    within.append(comment)
        elif not line:
            above.append("")
        else:
            within += filter(_named, above if valued else ())
            valued, above = True, []
    _name_last(found, [*within, *filter(_named, above)])
    return found


def _is_off(comment: str) -> bool:
    off = _OFF.fullmatch(comment)
    return off is not None and (off["key"] is None or off["key"].lower() in _KEYS)


def _name_last(found: list[Heading], within: list[str]) -> None:
    """Give the last section a name from its own comments, unless it has one."""
    if found and not found[-1].name:
        found[-1] = found[-1]._replace(name=_name(within, plain=True))


def _name(comments: list[str], *, plain: bool) -> str:
    """Return the name in the comments: one that says so, or with ``plain`` the last of a row."""
    said = next(filter(None, map(_named, reversed(comments))), "")
    if said or not plain:
        return said
    alone = [_matched(_PLAIN, comment) for comment in comments if comment]
    names = [one for one in alone if len(one.split()) <= _WORDS and valid_name(one)]
    return names[-1] if names else ""


def _named(comment: str) -> str:
    return next(filter(None, (_matched(pattern, comment) for pattern in _NAMED)), "")


def _matched(pattern: re.Pattern[str], comment: str) -> str:
    found = pattern.fullmatch(comment)
    return safe_name(found["name"].strip()) if found else ""


def safe_name(text: str) -> str:
    """Return a name, or an empty text if it holds what may be a key."""
    return "" if _SECRET.search(text) else text


def disabled_names(text: str) -> Iterator[str]:
    """Yield the names, untrusted, of clients that pivpn turned off: their sections are comments."""
    name = ""
    for raw in text.split("\n"):
        line = raw.strip()[:_MOST]
        rest = line.removeprefix(_DISABLED).lstrip()
        begun = _BEGIN.fullmatch(rest)
        name = safe_name(begun["name"]) if begun else name
        if name and line.startswith(_DISABLED):
            yield name
            name = ""


def valid_name(text: str) -> str:
    """Return a text as an RFC 1123 label: lower case, accents dropped, hyphens for the rest.

    It is empty if no letter or digit is left.
    """
    plain = unicodedata.normalize("NFKD", text[:_MOST]).encode("ascii", "ignore").decode()
    return _NOT_IN_A_NAME.sub("-", plain.lower()).strip("-")[:_LONGEST].strip("-")
