"""Title, legend and styles of a rich picture.

The legend is a table in an HTML-like label of Graphviz. It contains no text from the cluster, which
would be active markup there. The colours are those of Okabe and Ito, which colour-blind people can
distinguish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.render.graph.panorama import LINKED, ONE_SIDED
from kgctl.render.graph.picture import BROKEN, READY, STALE

if TYPE_CHECKING:
    from kgctl.render.graph.picture import Picture


BLUE, ORANGE = "#0072b2", "#d55e00"
PAPER, INK, GREY = "#ffffff", "#1a1a1a", "#5f5f5f"
AREAS = (
    (BLUE, "#dceaf4"),
    ("#009e73", "#dbf1ea"),
    ("#cc79a7", "#f8e9f1"),
    ("#56b4e9", "#e4f3fc"),
    ("#8a8200", "#fbf9d5"),
)
"""Line and background of areas, in turn: blue, green, purple, sky, yellow."""

STATES = {
    READY: 'style="filled,rounded" penwidth=1.2',
    STALE: 'style="filled,rounded,dashed" penwidth=2 color="#b36b00" fontcolor="#7a4900"',
    BROKEN: (
        f'style="filled,dotted" penwidth=2.5 shape=octagon color="{ORANGE}" fontcolor="#9c3f00"'
    ),
}
LEADER = 'style="filled,rounded,bold" penwidth=3'
TUNNEL = f'color="{BLUE}" penwidth=1.8'
NATTED = f'color="{ORANGE}" style=dashed penwidth=1.8'
KEPT = f'color="{GREY}" style=dotted penwidth=1.8'


_BETWEEN = {
    LINKED: ("━━━", "#009e73", "tunnel between clusters"),
    ONE_SIDED: ("┅┅┅", ORANGE, "one-sided: no tunnel"),
}
_GAP = "<td>  </td>"


def legend(
    picture: Picture, title: str, *, framed: bool, lines: bool, between: tuple[str, ...] = ()
) -> str:
    """Return the label: a trusted ``title``, and a sample of each kind of item in the picture.

    ``between`` are the states of the bridges between several clusters.
    """
    assert not set("<>&").intersection(title)
    found = _samples(picture, framed=framed, lines=lines)
    found += [_line(*_BETWEEN[state]) for state in between]
    samples = _GAP.join(found)
    return (
        '<<table border="0" cellborder="0" cellspacing="0" cellpadding="4">'
        f'<tr><td><font point-size="16"><b>{title}</b></font></td></tr>'
        f'<tr><td><table border="0" cellborder="0" cellspacing="4" cellpadding="5"><tr>{samples}'
        "</tr></table></td></tr></table>>"
    )


def _samples(picture: Picture, *, framed: bool, lines: bool) -> list[str]:
    samples = []
    if not picture.collapsed and picture.network is None:
        states = {node.state for node in picture.nodes}
        samples.append(_cell("★ leader", f'border="3" style="rounded" color="{BLUE}"'))
        if READY in states:
            samples.append(_cell("ready node", f'border="1" style="rounded" color="{BLUE}"'))
        if STALE in states:
            samples.append(
                _cell("stale: silent", 'border="2" style="rounded,dashed" color="#b36b00"')
            )
        if BROKEN in states:
            samples.append(
                _cell("broken: lacks something", f'border="2" style="dotted" color="{ORANGE}"')
            )
    if not framed:
        natted = any(leader.behind_nat for leader in picture.leaders)
        samples.append(_line("━━━", BLUE, "WireGuard tunnel"))
        if natted:
            samples.append(_line("╍╍╍", ORANGE, "through a NAT"))
        if picture.network is None and any(peer.state == READY for peer in picture.peers):
            where = "" if lines else ", to every leader"
            samples.append(_line("┅┅┅", GREY, f"peer{where}"))
    return samples or ["<td> </td>"]


def _cell(name: str, look: str) -> str:
    return f"<td {look}>{name}</td>"


def _line(strokes: str, colour: str, name: str) -> str:
    return f'<td><font color="{colour}">{strokes}</font> {name}</td>'
