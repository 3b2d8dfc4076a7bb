"""The pictures of ``kgctl graph``: chosen, drawn, and put where they belong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.arguments import UsageError
from kgctl.cli.output import answer, answer_bytes, note, on_terminal
from kgctl.cli.reading import read
from kgctl.files.writing import write_public
from kgctl.mesh.text import printable
from kgctl.render.graph.drawing import (
    LAYOUTS,
    GraphvizError,
    GraphvizMissingError,
    GraphvizPluginError,
    draw,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from kgctl.cli.reading import Reading
    from kgctl.cli.shared import Shared
    from kgctl.render.graph.panorama import Panorama
    from kgctl.render.graph.picture import Member, Picture

_DRAWN = ("svg", "png", "pdf")
_BINARY = ("png", "pdf")


class Wanted(NamedTuple):
    """What the options of ``kgctl graph`` say; ``collapse`` is None where the size decides."""

    format: str
    file: Path | None
    plain: bool
    layout: str | None
    collapse: bool | None
    focus: str | None
    hops: int
    location: str | None
    no_peers: bool
    watch: bool = False


def show(shared: Shared, wanted: Wanted) -> None:
    """Draw the network and print the picture, or write it into its file.

    Raises:
        UsageError: options do not go together, or a terminal would get bytes that are no text.
        KgctlError: it cannot be read, drawn or written.
    """
    _check(wanted)
    if wanted.watch:
        from kgctl.cli.screen import redraw
        from kgctl.render.graph.tree import terminal_tree

        redraw(
            shared, lambda reading, _console: terminal_tree(_picture(reading, wanted)), ages=True
        )
        return
    reading = read(shared)
    if wanted.format == "tree" and wanted.file is None and on_terminal():
        from kgctl.render.graph.tree import print_tree

        print_tree(_picture(reading, wanted))
        return
    _hand_over(_content(reading, wanted), wanted)


def show_clusters(shared: Shared, wanted: Wanted) -> None:
    """Draw several clusters as one picture, and print it or write it into its file.

    Raises:
        UsageError: the format or an option is for one cluster alone.
        KgctlError: one cannot be read, drawn or written; the message says which.
    """
    from kgctl.cli.clusters import linked_clusters, read_several

    _check(wanted)
    only = [
        ("-o html", wanted.format == "html"),
        ("--watch", wanted.watch),
        ("--focus", wanted.focus is not None),
        ("--location", wanted.location is not None),
    ]
    for option, given in only:
        if given:
            raise UsageError(f"{option} shows one cluster: give one --context or --cluster")
    clusters = read_several(shared)
    linked = linked_clusters(clusters, as_reference=wanted.plain)
    if wanted.plain:
        from kgctl.render.graph.dot import to_dot_of_clusters

        _hand_over(_drawn(to_dot_of_clusters(linked), wanted), wanted)
        return
    from kgctl.render.graph.panorama import panorama_of

    panorama = panorama_of(linked, {one.name: one.reading.now for one in clusters})
    views = [view._replace(picture=_shaped(view.picture, wanted)) for view in panorama.views]
    collapsed = _collapsed((node for view in views for node in view.picture.nodes), wanted)
    panorama = panorama._replace(
        views=tuple(
            view._replace(picture=view.picture._replace(collapsed=collapsed)) for view in views
        )
    )
    if wanted.format == "tree" and wanted.file is None and on_terminal():
        from kgctl.render.graph.tree import print_clusters_tree

        print_clusters_tree(panorama)
        return
    _hand_over(_content_of_clusters(panorama, wanted), wanted)


def _content_of_clusters(panorama: Panorama, wanted: Wanted) -> str | bytes:
    if wanted.format == "dot" or wanted.format in _DRAWN:
        from kgctl.render.graph.panoramadot import to_rich_dot_of_clusters

        return _drawn(to_rich_dot_of_clusters(panorama, wanted.layout), wanted)
    if wanted.format == "mermaid":
        from kgctl.render.graph.mermaid import to_clusters_mermaid

        return _mermaid(lambda shape: to_clusters_mermaid(panorama.shaped(shape)), wanted)
    from kgctl.render.graph.graphjson import to_clusters_json
    from kgctl.render.graph.tree import to_clusters_tree

    return to_clusters_json(panorama) if wanted.format == "json" else to_clusters_tree(panorama)


_FEWER = (sys.maxsize, 400, 200, 100, 50, 20, 5)
"""How many locations a flowchart has that would have too many, tried in this order."""


def _mermaid(write: Callable[[Callable[[Picture], Picture]], str], wanted: Wanted) -> str:
    """Return a flowchart that Mermaid draws: one node a location, or fewer, if it is too large.

    ``write`` writes it of pictures that are shaped first. If nothing helps, or the nodes are not
    to be collapsed, it stays as large as it is. A note on stderr explains either.
    """
    from kgctl.render.graph.mermaid import MOST_CHARACTERS, MOST_EDGES, is_drawn
    from kgctl.render.graph.selection import with_fewer_areas

    whole = write(lambda picture: picture)
    if is_drawn(whole):
        return whole
    limits = f"Mermaid draws at most {MOST_CHARACTERS:,} characters and {MOST_EDGES} links"
    remedy = "--location, --focus or --no-peers shows a part; -o svg shows all"
    for most in () if wanted.collapse is False else _FEWER:
        smaller = write(
            lambda one, most=most: with_fewer_areas(one._replace(collapsed=True), most)  # type: ignore[misc]
        )
        if is_drawn(smaller):
            joined = most != sys.maxsize
            what = f"the {most - 1} largest locations, and the rest as one" if joined else (
                "one node for each location"
            )  # fmt: skip
            note(f"{limits}: this is {what}; {remedy}")
            return smaller
    note(f"{limits}, and this has more: GitHub shows an error in its place; {remedy}")
    return whole


def _hand_over(content: str | bytes, wanted: Wanted) -> None:
    if wanted.file is not None:
        write_public(wanted.file, content.encode("utf-8", "backslashreplace")
                     if isinstance(content, str) else content)  # fmt: skip
    elif isinstance(content, str):
        answer(content)
    else:
        answer_bytes(content)


def _check(wanted: Wanted) -> None:
    if wanted.layout is not None:
        if wanted.layout not in LAYOUTS:
            raise UsageError(
                f'--layout "{printable(wanted.layout)}" is unknown; it is one of: '
                f"{', '.join(LAYOUTS)}"
            )
        if wanted.format not in _DRAWN and (wanted.format != "dot" or wanted.plain):
            raise UsageError("--layout is for svg, png and pdf, and for dot with --style rich")
    if wanted.collapse and wanted.format == "json":
        raise UsageError("--collapse is for pictures; json has every node")
    if wanted.format in _BINARY and wanted.file is None and on_terminal():
        raise UsageError(
            f"{wanted.format} is no text for a terminal; write a file: -O kilo.{wanted.format}"
        )


def _content(reading: Reading, wanted: Wanted) -> str | bytes:
    if wanted.format == "dot" or wanted.format in _DRAWN:
        return _drawn(_dot(reading, wanted), wanted)
    picture = _picture(reading, wanted)
    if wanted.format == "mermaid":
        from kgctl.render.graph.mermaid import to_mermaid

        return _mermaid(lambda shape: to_mermaid(shape(picture)), wanted)
    from kgctl.render.graph.graphjson import to_graph_json
    from kgctl.render.graph.tree import to_tree

    return to_graph_json(picture) if wanted.format == "json" else to_tree(picture)


def _dot(reading: Reading, wanted: Wanted) -> str:
    if wanted.plain:
        from kgctl.render.graph.dot import to_dot

        return to_dot(reading.topology(as_reference=True))
    from kgctl.render.graph.richdot import to_rich_dot

    return to_rich_dot(_picture(reading, wanted), wanted.layout)


def _drawn(dot: str, wanted: Wanted) -> str | bytes:
    if wanted.format == "dot":
        return dot
    try:
        return draw(dot, wanted.format, wanted.layout or "dot")
    except GraphvizMissingError as error:
        from kgctl.cli.packages import graphviz_hint

        raise GraphvizMissingError(f"{error}; {graphviz_hint()}") from None
    except GraphvizPluginError as error:
        from kgctl.cli.packages import plugin_hint

        raise GraphvizError(f"{error}; {plugin_hint(error.plugin, error.registered)}") from None


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
    if wanted.format in ("json", "tree") or wanted.focus is not None:
        return False
    return sum(1 for _ in nodes) > COLLAPSE_ABOVE
