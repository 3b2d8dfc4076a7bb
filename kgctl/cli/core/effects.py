"""Which option has an effect with which format, and beside which others.

An option that would do nothing is a mistake of whoever gave it, so it is an error, never silence.
This is the one table of that; every command is held against it before it runs
(``kgctl.cli.shared``). What depends on values, or on what was read, is for the command itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

OUTSIDE = ("wg-quick", "qr", "networkd", "nmconnection")
"""The formats of whole files for machines outside the cluster."""

SEVERAL = "several clusters"
"""Stands among the options for more than one ``--context`` or ``--cluster``."""

_PEER_FILES = ("wireguard", *OUTSIDE)
_SECTIONS = ("wireguard", "yaml", "json")
_WHOLE = "-o {format} is a whole file: --as-peer and --allowed-ips do not go with it"
_ONE_CODE = "--output-file is for one QR code: -o qr -O FILE.png or FILE.svg"
_ONE_FILE = (
    "--watch keeps one file of one peer: no --all, --directory or --as-peer, and no networkd, qr, "
    "yaml or json"
)
_TO_DIRECTORY = "--directory is for --all, and for whole files: -o wg-quick and the like"
_VIA = "--via says where the services of --service-cidr are reached; give both"
_ALL_NODES = "--all writes each leader's configuration in the WireGuard format"


class Effect(NamedTuple):
    """When an option has an effect.

    ``formats`` are those of ``--output`` that it has one with, all if empty; one of ``needs`` has
    to be given too, and none of ``beside``. ``within`` are the formats that the rule is for, all if
    empty. ``said`` is what is wrong, where that can be said better than in general.
    """

    option: str
    formats: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    said: str = ""


EFFECTS: dict[str, tuple[Effect, ...]] = {
    "showconf peer": (
        Effect("--as-peer", _SECTIONS, said=_WHOLE),
        Effect("--as-peer", beside=("--all", "--directory", "--watch")),
        Effect("--allowed-ips", _SECTIONS, said=_WHOLE),
        Effect("--output-file", ("qr",), beside=("--all", "--directory", "--watch"),
               said=_ONE_CODE),
        Effect("--watch", ("wireguard", "wg-quick", "nmconnection"),
               beside=("--all", "--directory", "--as-peer"), said=_ONE_FILE),
        Effect("--interval", needs=("--watch",)),
        Effect("--all", needs=("--directory",),
               said="--all takes no NAME, and writes into --directory DIR; give that"),
        Effect("--all", _PEER_FILES),
        Effect("--directory", _PEER_FILES),
        Effect("--directory", needs=("--all", SEVERAL), within=("wireguard",),
               said=_TO_DIRECTORY),
        Effect("--interface", ("networkd", "nmconnection")),
        Effect("--private-key", OUTSIDE, beside=("--all",)),
        Effect("--dns", OUTSIDE),
        Effect("--search-domain", OUTSIDE),
        Effect("--search-domain", needs=("--dns",)),
        Effect("--mtu", OUTSIDE),
        Effect("--listen-port", OUTSIDE),
        Effect("--table", ("wg-quick", "networkd", "nmconnection")),
        Effect("--service-cidr", OUTSIDE),
        Effect("--via", OUTSIDE),
        Effect("--via", needs=("--service-cidr",), said=_VIA),
        Effect("--gateway", OUTSIDE),
        Effect("--only", OUTSIDE),
        Effect("--only-networks", OUTSIDE),
        Effect("--deny", OUTSIDE),
        Effect("--accept", OUTSIDE),
    ),
    "showconf node": (
        Effect("--all", needs=("--directory",),
               said="--all takes no NAME, and writes into --directory DIR; give that"),
        Effect("--all", ("wireguard",), said=_ALL_NODES),
        Effect("--directory", needs=("--all",)),
        Effect("--as-peer", beside=("--all",), said=_ALL_NODES),
        Effect("--allowed-ips", beside=("--all",), said=_ALL_NODES),
    ),
    "get": (
        Effect("--watch", ("", "wide"),
               said="--watch is for tables; it does not go with -o {format}"),
    ),
    "graph": (
        Effect("--hops", needs=("--focus",),
               said="--hops counts from the node or peer that --focus names; give both"),
    ),
    "drift": (Effect("--via", needs=("--service-cidr",), said=_VIA),),
    "peer add": (
        Effect("--private-key-file", beside=("--public-key",), said=(
            "--private-key-file is for a key that is made; --public-key names one")),
        Effect("--pool", beside=("--allowed-ips",), said=(
            "--pool allocates an address; --allowed-ips names it: give one of them")),
    ),
    "peer set": (
        Effect("--service-cidr", needs=("--allowed-ips",)),
        Effect("--force", needs=("--allowed-ips", "--public-key")),
    ),
    "peer rotate": (
        Effect("--private-key-file", beside=("--public-key",), said=(
            "--private-key-file is for a key that is made; --public-key names one")),
    ),
    "link": (
        Effect("--output", needs=("--directory",), said=(
            "-o {format} writes a file for each cluster: add --directory DIR")),
    ),
}  # fmt: skip
"""The rules of each command; the first one that is broken is said."""


def without_effect(command: str, given: Collection[str], format_: str) -> str | None:
    """Return what is wrong with the options ``given`` to a command, or None.

    ``given`` are their long names, and ``SEVERAL``. ``format_`` is the value of ``--output``, empty
    for none.
    """
    for effect in EFFECTS.get(command, ()):
        if effect.option in given and (not effect.within or format_ in effect.within):
            for text in _broken(effect, given, format_):
                return effect.said.format(format=format_) or text
    return None


def _broken(effect: Effect, given: Collection[str], format_: str) -> Iterator[str]:
    option = effect.option
    if effect.formats and format_ not in effect.formats:
        yield f"{option} goes with -o {_one_of(effect.formats)} only"
    if effect.needs and not any(need in given for need in effect.needs):
        yield f"{option} has no effect without {_one_of(effect.needs)}"
    for other in effect.beside:
        if other in given:
            yield f"{option} has no effect with {other}"


def _one_of(names: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
