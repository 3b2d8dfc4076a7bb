"""How a picture looks: colours of Okabe and Ito, which colour-blind people can tell apart."""

from __future__ import annotations

from kgctl.render.graph.picture import BROKEN, READY, STALE

BLUE, ORANGE = "#0072b2", "#d55e00"
PAPER, INK, GREY = "#ffffff", "#1a1a1a", "#5f5f5f"
AREAS = (
    (BLUE, "#dceaf4"),
    ("#009e73", "#dbf1ea"),
    ("#cc79a7", "#f8e9f1"),
    ("#56b4e9", "#e4f3fc"),
    ("#8a8200", "#fbf9d5"),
)
"""Line and ground of areas, in turn: blue, green, purple, sky, yellow."""

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
