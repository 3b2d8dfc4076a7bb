"""A log-log plot as SVG, without a plotting package."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

WIDTH, HEIGHT = 760, 480
LEFT, RIGHT, TOP, BOTTOM = 80, 190, 50, 60
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#8250df", "#9a6700")

Dot = tuple[float, float]


class _Scale(NamedTuple):
    """The decades of one axis, and its range in pixels."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def decades(self) -> Iterator[int]:
        return iter(range(self.low, self.high + 1))


def draw(title: str, axes: tuple[str, str], lines: Mapping[str, Sequence[Dot]]) -> str:
    """Return the plot: a line with points for each name, and a dotted line of slope 1.

    ``axes`` are the titles of the horizontal and the vertical axis. All values are above zero.
    """
    across = _scale((x for dots in lines.values() for x, _ in dots), LEFT, WIDTH - RIGHT)
    up = _scale((y for dots in lines.values() for _, y in dots), HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13" fill="#1f2328">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(LEFT, 28, title, "start", ' font-size="16" font-weight="bold"'),
        *_axes(across, up, axes),
        *_proportional(across, up),
    ]
    for number, (name, dots) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        at = [(across.at(x), up.at(y)) for x, y in dots]
        parts += _line(at, colour)
        y = TOP + 20 * (number + 1)
        x = WIDTH - RIGHT + 20
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{colour}"/>')
        parts.append(_text(x + 12, y, name, "start"))
    return "\n".join([*parts, "</svg>", ""])


def _scale(values: Iterable[float], start: float, end: float) -> _Scale:
    logs = [log10(value) for value in values]
    return _Scale(floor(min(logs)), max(ceil(max(logs)), floor(min(logs)) + 1), start, end)


def _axes(across: _Scale, up: _Scale, titles: tuple[str, str]) -> Iterator[str]:
    for power in across.decades():
        x = across.at(10.0**power)
        yield _grid(x, up.start, x, up.end)
        yield _text(x, up.start + 20, f"{10**power:,}", "middle")
    for power in up.decades():
        y = up.at(10.0**power)
        yield _grid(across.start, y, across.end, y)
        yield _text(across.start - 8, y + 4, _time(power), "end")
    yield _text((across.start + across.end) / 2, HEIGHT - 12, titles[0], "middle")
    middle = (up.start + up.end) / 2
    turned = f' transform="rotate(-90 18 {middle:.1f})"'
    yield _text(18, middle, titles[1], "middle", turned)


def _proportional(across: _Scale, up: _Scale) -> Iterator[str]:
    """Draw the line of proportional growth from the lower left corner."""
    decades = min(across.high - across.low, up.high - up.low)
    ends = across.at(10.0 ** (across.low + decades)), up.at(10.0 ** (up.low + decades))
    yield (
        f'<line x1="{across.start:.1f}" y1="{up.start:.1f}" x2="{ends[0]:.1f}" '
        f'y2="{ends[1]:.1f}" stroke="#59636e" stroke-dasharray="2 5"/>'
    )
    yield _text(WIDTH - RIGHT + 12, HEIGHT - BOTTOM, "dotted: in proportion", "start")


def _line(dots: Sequence[Dot], colour: str) -> Iterator[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y in dots:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#d1d9e0"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    safe = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{safe}</text>'


def _time(power: int) -> str:
    units = {0: "s", -3: "ms", -6: "µs"}
    base = max((unit for unit in units if unit <= power), default=-6)
    return f"{10 ** (power - base):,} {units[base]}"
