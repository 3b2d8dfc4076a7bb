"""Table of the formats and other options with which each option has an effect.

An option that would have no effect is an error. ``kgctl.cli.core.shared`` checks every command line
against this table before the command runs. The command itself checks what depends on values or on
the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from kgctl.mesh.text import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from kgctl.cli.core.choices import Named

SEVERAL = "several clusters"
"""Stands among the given options for more than one ``--context`` or ``--cluster``."""

_WHOLE = "-o {format} is a whole file: --as-peer and --allowed-ips do not go with it"
_ONE_CODE = "--output-file is for one QR code: -o qr -O FILE.png or FILE.svg"
_ONE_FILE = "--watch keeps one file of one peer: no --all, --directory or --as-peer, and no "
_TO_DIRECTORY = "--directory is for --all, and for whole files: -o wg-quick and the like"
_VIA = "--via names the node through which --service-cidr is reached; give both"
_ALL_NODES = "--all writes each leader's configuration in the WireGuard format"


class Effect(NamedTuple):
    """A condition under which an option has an effect.

    The option needs one of ``formats`` as ``--output`` (any if empty), one of ``needs``, and none
    of ``beside``. The rule applies to the formats ``within`` (all if empty). ``said`` replaces the
    general message.
    """

    option: str
    formats: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    said: str = ""


Rules: TypeAlias = tuple[Effect, ...]


def _names(formats: Iterable[Named]) -> tuple[str, ...]:
    return tuple(one.name for one in formats)


def _showconf_peer() -> Rules:
    from kgctl.render.manifest import MANIFEST_FORMATS
    from kgctl.wireguard.formats import MACHINE_FORMATS, WHOLE_FILES, WIREGUARD

    files, outside = _names(MACHINE_FORMATS), _names(WHOLE_FILES)
    manifests = _names(MANIFEST_FORMATS)
    sections = (WIREGUARD.name, *manifests)
    single = _names(one for one in MACHINE_FORMATS if one.single)
    pictures = _names(one for one in MACHINE_FORMATS if one.pictures)
    not_watched = [*sorted({*files} - {*single}), *manifests]
    return (
        Effect("--as-peer", sections, said=_WHOLE),
        Effect("--as-peer", beside=("--all", "--directory", "--watch")),
        Effect("--allowed-ips", sections, said=_WHOLE),
        Effect("--output-file", pictures, beside=("--all", "--directory", "--watch"),
               said=_ONE_CODE),
        Effect("--watch", single,
               beside=("--all", "--directory", "--as-peer"),
               said=_ONE_FILE + listed(not_watched, "or")),
        Effect("--interval", needs=("--watch",)),
        Effect("--all", needs=("--directory",),
               said="--all takes no NAME, and writes into --directory DIR; give that"),
        Effect("--all", files),
        Effect("--directory", files),
        Effect("--directory", needs=("--all", SEVERAL), within=(WIREGUARD.name,),
               said=_TO_DIRECTORY),
        Effect("--interface", _names(one for one in MACHINE_FORMATS if one.interface)),
        Effect("--private-key", outside, beside=("--all",)),
        Effect("--dns", outside),
        Effect("--search-domain", outside),
        Effect("--search-domain", needs=("--dns",)),
        Effect("--mtu", outside),
        Effect("--listen-port", outside),
        Effect("--table", _names(one for one in MACHINE_FORMATS if one.table)),
        Effect("--service-cidr", outside),
        Effect("--via", outside),
        Effect("--via", needs=("--service-cidr",), said=_VIA),
        Effect("--gateway", outside),
        Effect("--only", outside),
        Effect("--only-networks", outside),
        Effect("--deny", outside),
        Effect("--accept", outside),
        Effect("--relay", outside, beside=(SEVERAL,)),
        Effect("--relay-pool", outside, beside=(SEVERAL,)),
        Effect("--relay-pool", needs=("--relay",)),
    )  # fmt: skip


def _showconf_node() -> Rules:
    from kgctl.wireguard.formats import WIREGUARD

    return (
        Effect("--all", needs=("--directory",),
               said="--all takes no NAME, and writes into --directory DIR; give that"),
        Effect("--all", (WIREGUARD.name,), said=_ALL_NODES),
        Effect("--directory", needs=("--all",)),
        Effect("--as-peer", beside=("--all",), said=_ALL_NODES),
        Effect("--allowed-ips", beside=("--all",), said=_ALL_NODES),
    )  # fmt: skip


def _get() -> Rules:
    from kgctl.render.lists.formats import LIST_FORMATS

    return (
        Effect("--watch", _names(one for one in LIST_FORMATS if one.table is not None),
               said="--watch is for tables; it does not go with -o {format}"),
    )  # fmt: skip


EFFECTS: dict[str, Callable[[], Rules]] = {
    "showconf peer": _showconf_peer,
    "showconf node": _showconf_node,
    "get": _get,
    "graph": lambda: (
        Effect("--hops", needs=("--focus",),
               said="--hops counts from the node or peer that --focus names; give both"),
    ),
    "path": lambda: (Effect("--relay", beside=(SEVERAL,)),),
    "check": lambda: tuple(
        Effect(name, beside=("--node-agent",))
        for name in ("--live", "--service-cidr", "--accept", "--offline", SEVERAL)
    ),
    "drift": lambda: (
        Effect("--all", beside=("--dump", "--interface")),
        Effect("--via", needs=("--service-cidr",), said=_VIA),
        *(
            Effect(name, needs=("--dump",))
            for name in ("--service-cidr", "--via", "--gateway", "--only", "--listen-port",
                         "--only-networks", "--deny", "--accept", "--relay", "--relay-pool")
        ),
        Effect("--relay-pool", needs=("--relay",)),
    ),
    "peer add": lambda: (
        Effect("--private-key-file", beside=("--public-key",), said=(
            "--private-key-file is for a new key; --public-key names an existing one")),
        Effect("--pool", beside=("--allowed-ips",), said=(
            "--pool allocates an address; --allowed-ips names it: give one of them")),
    ),
    "peer set": lambda: (
        Effect("--service-cidr", needs=("--allowed-ips", "--lan")),
        Effect("--force", needs=("--allowed-ips", "--lan", "--public-key")),
    ),
    "peer rotate": lambda: (
        Effect("--private-key-file", beside=("--public-key",), said=(
            "--private-key-file is for a new key; --public-key names an existing one")),
    ),
    "agent": lambda: (
        Effect("--output", needs=("--dry-run",), said=(
            "--output is the format of --dry-run; give both")),
    ),
    "agent manifests": lambda: (
        Effect("--ca-bundle", needs=("--webhook",)),
        Effect("--distribution", beside=("--webhook",)),
        Effect("--compatibility", beside=("--webhook",)),
        Effect("--userspace", beside=("--webhook",)),
    ),
    "link": lambda: (
        Effect("--output", needs=("--directory",), said=(
            "-o {format} writes a file for each cluster: add --directory DIR")),
    ),
}  # fmt: skip
"""The rules of each command, made when it runs; the first broken one is reported."""


def without_effect(command: str, given: Collection[str], format_: str) -> str | None:
    """Return the mistake in the options ``given`` to a command as a message, or None.

    ``given`` has their long names, and ``SEVERAL``. ``format_`` is the value of ``--output``, or
    empty.
    """
    for effect in EFFECTS[command]():
        if effect.option in given and (not effect.within or format_ in effect.within):
            for text in _broken(effect, given, format_):
                return effect.said.format(format=format_) or text
    return None


def _broken(effect: Effect, given: Collection[str], format_: str) -> Iterator[str]:
    option = effect.option
    if effect.formats and format_ not in effect.formats:
        yield f"{option} goes with -o {listed(effect.formats, 'or')} only"
    if effect.needs and not any(need in given for need in effect.needs):
        yield f"{option} has no effect without {listed(effect.needs, 'or')}"
    for other in effect.beside:
        if other in given:
            yield f"{option} has no effect with {other}"
