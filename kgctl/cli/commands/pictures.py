"""Work of ``kgctl graph``: read clusters, write a graph in its format, print it or write a file.

If Graphviz is missing, the error has the command that installs it on this system.
"""

from __future__ import annotations

import platform
import sys
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import answer, answer_bytes, note, on_terminal
from kgctl.cli.core.source import read
from kgctl.mesh.text import listed, printable
from kgctl.render.graph.formats import GRAPH_FORMATS, RICH, Collapse, Look
from kgctl.render.graph.graphviz_programs import (
    LAYOUTS,
    GraphvizError,
    GraphvizMissingError,
    GraphvizPluginError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from rich.tree import Tree

    from kgctl.cli.core.clusters import Cluster as Read
    from kgctl.cli.core.shared import Shared
    from kgctl.cli.core.source import Reading
    from kgctl.mesh.links import Linked
    from kgctl.mesh.topology import Topology
    from kgctl.render.graph.formats import GraphFormat
    from kgctl.render.graph.panorama import Panorama
    from kgctl.render.graph.picture import Member, Picture
    from kgctl.render.page.content import Shown


Source = TypeVar("Source", bound="_Source")


class Wanted(NamedTuple):
    """The options of ``kgctl graph``; ``collapse`` is None if the size decides."""

    format: GraphFormat
    file: Path | None
    plain: bool
    layout: str | None
    collapse: bool | None
    focus: str | None
    hops: int
    location: str | None
    no_peers: bool
    watch: bool = False

    @property
    def look(self) -> Look:
        """The look of Graphviz's formats."""
        return Look(self.plain, self.layout)

    @property
    def shaped(self) -> bool:
        """Whether the options select a part of the network, or fewer details."""
        chosen = (self.collapse, self.focus, self.location)
        return self.no_peers or any(one is not None for one in chosen)


def show(shared: Shared, wanted: Wanted) -> None:
    """Draw the network, and print the graph or write it to its file.

    Raises:
        UsageError: options conflict, or a terminal would get binary data.
        KgctlError: the network cannot be read, drawn or written.
    """
    if not wanted.format.shaped and (wanted.shaped or wanted.layout is not None):
        raise UsageError(
            f"-o {wanted.format.name} shows the whole network, and the browser selects parts: give "
            "only -O"
        )
    _check(wanted)
    cluster = _Cluster(shared, wanted)
    terminal = wanted.format.terminal
    if terminal is not None and wanted.watch:
        from kgctl.cli.commands.screen import redraw

        tree = terminal.tree
        redraw(shared, lambda reading, _console: tree(_picture(reading, wanted)), ages=True)
    elif terminal is not None and _is_printed(wanted):
        _print(terminal.tree(cluster.picture()))
    else:
        _hand_over(_written(cluster, wanted, wanted.format.one), wanted)


def show_clusters(shared: Shared, wanted: Wanted) -> None:
    """Draw several clusters as one graph, and print it or write it to its file.

    Raises:
        UsageError: the format or an option supports only one cluster.
        KgctlError: a cluster cannot be read, drawn or written; the message names it.
    """
    _check(wanted)
    several = wanted.format.several
    only = [
        ("--watch", wanted.watch),
        ("--focus", wanted.focus is not None),
        ("--location", wanted.location is not None),
    ]
    given = [f"-o {wanted.format.name}"] if several is None else []
    given += [option for option, is_given in only if is_given]
    if several is None or given:
        raise UsageError(f"{given[0]} shows one cluster: give one --context or --cluster")
    clusters = _Clusters(shared, wanted)
    terminal = wanted.format.terminal
    if terminal is not None and _is_printed(wanted):
        _print(terminal.clusters(clusters.panorama()))
    else:
        _hand_over(_written(clusters, wanted, several), wanted)


def _is_printed(wanted: Wanted) -> bool:
    return wanted.file is None and on_terminal()


def _print(tree: Tree) -> None:
    from rich.console import Console

    Console(highlight=False).print(tree)  # obeys NO_COLOR


_FEWER = (sys.maxsize, 400, 200, 100, 50, 20, 5)
"""Numbers of locations to try, in this order, for a graph that is too large."""


def _written(
    source: Source, wanted: Wanted, write: Callable[[Source, Look], str | bytes]
) -> str | bytes:
    """Return the text of a writer; if readers cannot take it, collapse locations, then merge some.

    If that does not suffice, or ``--no-collapse`` forbids it, the graph keeps its size. A note on
    stderr explains either.
    """
    whole = _drawn(write, source, wanted)
    tell = wanted.format.excess
    excess = tell(whole) if tell is not None and isinstance(whole, str) else None
    if tell is None or excess is None:
        return whole
    remedy = "--location, --focus or --no-peers shows a part; -o svg shows all"
    for most in () if wanted.collapse is False else _FEWER:
        smaller = write(source.of_fewer(most), wanted.look)
        if isinstance(smaller, str) and tell(smaller) is None:
            joined = most != sys.maxsize
            what = f"the {most - 1} largest locations, and the rest as one" if joined else (
                "one node for each location"
            )  # fmt: skip
            note(f"{excess.most}: this is {what}; {remedy}")
            return smaller
    note(f"{excess.most}, and this has more: {excess.instead}; {remedy}")
    return whole


def _drawn(
    write: Callable[[Source, Look], str | bytes], source: Source, wanted: Wanted
) -> str | bytes:
    """Return the result of a writer; if Graphviz is missing, the error has the install command."""
    try:
        return write(source, wanted.look)
    except GraphvizMissingError as error:
        raise GraphvizMissingError(f"{error}; {graphviz_hint()}") from None
    except GraphvizPluginError as error:
        raise GraphvizError(f"{error}; {plugin_hint(error.plugin, error.registered)}") from None


def _hand_over(content: str | bytes, wanted: Wanted) -> None:
    if wanted.file is not None:
        from kgctl.files.atomic import write_public

        write_public(wanted.file, content.encode("utf-8", "backslashreplace")
                     if isinstance(content, str) else content)  # fmt: skip
    elif isinstance(content, str):
        answer(content)
    else:
        answer_bytes(content)


def _check(wanted: Wanted) -> None:
    chosen = wanted.format
    if wanted.layout is not None:
        if wanted.layout not in LAYOUTS:
            raise UsageError(
                f'--layout "{printable(wanted.layout)}" is unknown; give one of: '
                f"{', '.join(LAYOUTS)}"
            )
        if not chosen.drawn and (chosen.style is None or wanted.plain):
            drawn = [one.name for one in GRAPH_FORMATS if one.drawn]
            text = [one.name for one in GRAPH_FORMATS if one.style is not None and not one.drawn]
            raise UsageError(
                f"--layout is for {listed(drawn)}, and for {listed(text)} with --style {RICH}"
            )
    if wanted.collapse and chosen.collapse is Collapse.NEVER:
        raise UsageError(f"--collapse is for pictures; {chosen.name} has every node")
    if chosen.binary and _is_printed(wanted):
        raise UsageError(
            f"{chosen.name} cannot be shown in a terminal; write a file: -O kilo{chosen.endings[0]}"
        )


class _Source:
    """The drawn state, read when a writer needs it, with all locations or fewer."""

    def __init__(self, shared: Shared, wanted: Wanted) -> None:
        self._shared = shared
        self._wanted = wanted
        self.most: int | None = None

    def of_fewer(self, most: int) -> Self:
        """Return a copy with one node per location, and at most ``most`` locations."""
        fewer = copy(self)
        fewer.most = most
        return fewer

    def _shape(self, picture: Picture) -> Picture:
        if self.most is None:
            return picture
        from kgctl.render.graph.selection import with_fewer_areas

        return with_fewer_areas(picture._replace(collapsed=True), self.most)


class _Cluster(_Source):
    """One cluster, in the form that ``kgctl.render.graph.formats`` reads."""

    @cached_property
    def _reading(self) -> Reading:
        return read(self._shared)

    @cached_property
    def _whole(self) -> Picture:
        return _picture(self._reading, self._wanted)

    def topology(self) -> Topology:
        """Return the network as the reference draws it."""
        return self._reading.topology(as_reference=True)

    def picture(self) -> Picture:
        """Return the picture, shaped by the options."""
        return self._shape(self._whole)

    def page(self) -> Shown:
        """Return the content of the page."""
        from kgctl.cli.commands.page import read_page

        return read_page(self._shared)


class _Clusters(_Source):
    """Several clusters, in the form that ``kgctl.render.graph.formats`` reads."""

    @cached_property
    def _clusters(self) -> list[Read]:
        from kgctl.cli.core.clusters import read_several

        return read_several(self._shared)

    @cached_property
    def _whole(self) -> Panorama:
        from kgctl.cli.core.clusters import linked_clusters
        from kgctl.render.graph.panorama import panorama_of

        linked = linked_clusters(self._clusters)
        found = panorama_of(linked, {one.name: one.reading.now for one in self._clusters})
        shaped = found.shaped(lambda picture: _shaped(picture, self._wanted))
        nodes = (node for view in shaped.views for node in view.picture.nodes)
        collapsed = _collapsed(nodes, self._wanted)
        return shaped.shaped(lambda picture: picture._replace(collapsed=collapsed))

    def linked(self) -> Linked:
        """Return the networks as the reference draws them, and their links."""
        from kgctl.cli.core.clusters import linked_clusters

        return linked_clusters(self._clusters, as_reference=True)

    def panorama(self) -> Panorama:
        """Return the picture of all clusters, shaped by the options."""
        return self._whole.shaped(self._shape)


def _picture(reading: Reading, wanted: Wanted) -> Picture:
    from kgctl.render.graph import selection
    from kgctl.render.graph.picture import picture_of

    whole = picture_of(reading.state, reading.topology(), reading.now, present=reading.present)
    picture = _shaped(whole, wanted)
    if wanted.focus is not None:
        picture = selection.around(picture, wanted.focus, wanted.hops)
    if wanted.location is not None:
        picture = selection.at_location(picture, wanted.location)
    return picture._replace(collapsed=_collapsed(picture.nodes, wanted))


def _shaped(picture: Picture, wanted: Wanted) -> Picture:
    from kgctl.render.graph.selection import without_peers

    return without_peers(picture) if wanted.no_peers else picture


def _collapsed(nodes: Iterable[Member], wanted: Wanted) -> bool:
    from kgctl.render.graph.selection import COLLAPSE_ABOVE

    if wanted.collapse is not None:
        return wanted.collapse
    if wanted.format.collapse is not Collapse.LARGE or wanted.focus is not None:
        return False
    return sum(1 for _ in nodes) > COLLAPSE_ABOVE


_MANAGERS = {
    "debian": "sudo apt install {}",
    "ubuntu": "sudo apt install {}",
    "fedora": "sudo dnf install {}",
    "rhel": "sudo dnf install {}",
    "centos": "sudo dnf install {}",
    "suse": "sudo zypper install {}",
    "opensuse": "sudo zypper install {}",
    "arch": "sudo pacman -S {}",
    "alpine": "sudo apk add {}",
    "void": "sudo xbps-install {}",
    "gentoo": "sudo emerge media-gfx/{}",
    "nixos": "nix-shell -p {}",
    "darwin": "brew install {}",
    "win32": "winget install {}",
}


_PLUGINS = {
    "neato_layout": "libgvplugin-neato-layout8",
    "pango": "libgvplugin-pango8",
}
"""Debian's packages of Graphviz plugins, since Graphviz 14."""


def graphviz_hint() -> str:
    """Return how to install Graphviz on this system, by ``/etc/os-release``, else its website."""
    return install_command("graphviz", _kinds())


def plugin_hint(plugin: str, registered: bool, kinds: list[str] | None = None) -> str:
    """Return how to get a Graphviz plugin on this system, or an alternative.

    Unless ``registered``, the plugin may be installed, but missing in Graphviz's list of plugins.
    ``kinds`` replaces the names of this system.
    """
    kinds = _kinds() if kinds is None else kinds
    package = _PLUGINS.get(plugin)
    if not registered:
        remedy = "run: sudo dot -c"
    elif package is not None and "debian" in kinds:
        remedy = install_command(package, ["debian"])
    else:
        remedy = f"install the Graphviz plugin {plugin}, a separate package on some systems"
    return f"{remedy}, or use --layout dot" if plugin == "neato_layout" else remedy


def _kinds() -> list[str]:
    """Return the ID of this system, and those of the systems that it is derived from."""
    if sys.platform in _MANAGERS:
        return [sys.platform]
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    return [release.get("ID", ""), *release.get("ID_LIKE", "").split()]


def install_command(package: str, kinds: list[str]) -> str:
    """Return the command that installs ``package`` on the first known system of ``kinds``."""
    for kind in kinds:
        command = _MANAGERS.get(kind)
        if command is not None:
            return f"install it with: {command.format(package)}"
    return f"install the package {package}, or see https://graphviz.org/download/"
