"""Scatter charts as inline SVG: no script, no font, no colour of their own.

Colours and stroke widths come from the page's style sheet by class, so a chart follows
the reader's light or dark scheme. Each series has a shape of its own as well.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from markupsafe import Markup

from bench.report.document import Chart, Panel, Point
from bench.report.labels import number

WIDTH, HEIGHT = 300.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 14.0, 26.0, 42.0
_RADIUS = 5.5
_TICKS = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis: its limits, its ticks, and where they lie in the drawing."""

    low: float
    high: float
    step: float
    start: float
    end: float

    @property
    def ticks(self) -> list[float]:
        """The values of the ticks, both limits included."""
        return [
            self.low + i * self.step for i in range(round((self.high - self.low) / self.step) + 1)
        ]

    def place(self, value: float) -> float:
        """The coordinate of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def label(self, value: float) -> str:
        """A tick's label, with no more decimals than the step needs."""
        return number(value, max(0, -math.floor(math.log10(self.step))))


def axis(values: Sequence[float], start: float, end: float, *, zero: bool) -> Axis:
    """An axis with round limits that hold all ``values``, from zero where ``zero`` says so."""
    low, high = (0.0 if zero else min(values)), max(values)
    span = (high - low) or abs(high) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= span / _TICKS)
    bottom = step * math.floor(low / step + 1e-9)
    top = step * math.ceil(high / step - 1e-9)
    return Axis(bottom, top if top > bottom else bottom + step, step, start, end)


def panels(chart: Chart) -> list[Markup]:
    """One SVG image per panel; the y axis is the same in all of them."""
    heights = [point.y for panel in chart.panels for point in panel.points]
    heights += [panel.baseline for panel in chart.panels if panel.baseline is not None]
    y_axis = axis(heights, HEIGHT - _BOTTOM, _TOP, zero=min(heights) < max(heights) / 2)
    return [_svg(chart, panel, y_axis) for panel in chart.panels]


def description(chart: Chart, panel: Panel) -> str:
    """What a panel shows, in words, for those who do not see it."""
    said = [
        f"{point.label}: {number(point.y, 2)} at {number(point.x, 1)}" for point in panel.points
    ]
    if panel.baseline is not None:
        said.append(f"zero-shot: {number(panel.baseline, 2)}")
    said += [f"{label}: no value" for label in panel.absent]
    return f"{panel.title}, {chart.y_label} against {chart.x_label}. {'; '.join(said)}."


def _svg(chart: Chart, panel: Panel, y_axis: Axis) -> Markup:
    x_axis = axis([point.x for point in panel.points] or [1], _LEFT, WIDTH - _RIGHT, zero=True)
    marks = Markup().join(
        [
            *_grid(x_axis, y_axis),
            *_baseline(panel, y_axis),
            *(_mark(point, x_axis, y_axis) for point in panel.points),
            *_absent(panel),
        ]
    )
    return Markup(
        '<svg viewBox="0 0 {w:.0f} {h:.0f}" role="img" aria-label="{said}">'
        '<text class="panel" x="{x:.0f}" y="14">{title}</text>{marks}'
        '<text class="axis" x="{middle:.1f}" y="{below:.0f}" text-anchor="middle">{label}</text>'
        "</svg>"
    ).format(
        w=WIDTH,
        h=HEIGHT,
        said=description(chart, panel),
        x=_LEFT,
        title=panel.title,
        marks=marks,
        middle=(_LEFT + WIDTH - _RIGHT) / 2,
        below=HEIGHT - 8,
        label=chart.x_label,
    )


def _grid(x_axis: Axis, y_axis: Axis) -> list[Markup]:
    floor = HEIGHT - _BOTTOM
    lines = [
        Markup(
            '<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            '<text class="tick" x="{:.1f}" y="{ty:.1f}" text-anchor="end">{label}</text>'
        ).format(
            _LEFT,
            WIDTH - _RIGHT,
            _LEFT - 6,
            y=y_axis.place(value),
            ty=y_axis.place(value) + 3.5,
            label=y_axis.label(value),
        )
        for value in y_axis.ticks
    ]
    lines += [
        Markup('<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(
            x_axis.place(value), floor + 15, x_axis.label(value)
        )
        for value in x_axis.ticks
    ]
    return lines


def _baseline(panel: Panel, y_axis: Axis) -> list[Markup]:
    if panel.baseline is None:
        return []
    y = y_axis.place(panel.baseline)
    return [
        Markup('<line class="base" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(
            _LEFT, WIDTH - _RIGHT, y, y
        )
    ]


def _absent(panel: Panel) -> list[Markup]:
    """Which methods have no point here: a gap must not look like a forgotten one."""
    if not panel.absent:
        return []
    return [
        Markup('<text class="tick" x="{:.1f}" y="{:.1f}">no value: {}</text>').format(
            _LEFT + 6, HEIGHT - _BOTTOM - 7, ", ".join(panel.absent)
        )
    ]


def _mark(point: Point, x_axis: Axis, y_axis: Axis) -> Markup:
    x, y = x_axis.place(point.x), y_axis.place(point.y)
    return Markup('<g class="series s{}"><title>{}: {} at {}</title>{}</g>').format(
        point.series, point.label, number(point.y, 2), number(point.x, 1), shape(point.series, x, y)
    )


def shape(series: int, x: float, y: float) -> Markup:
    """A circle, a square or a triangle around a point."""
    r = _RADIUS
    if series % 3 == 0:
        return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(x, y, r)
    if series % 3 == 1:
        return Markup('<rect x="{:.1f}" y="{:.1f}" width="{}" height="{}"/>').format(
            x - r + 0.5, y - r + 0.5, 2 * r - 1, 2 * r - 1
        )
    return Markup('<path d="M{:.1f} {:.1f}l{} {}h-{}z"/>').format(x, y - r - 0.5, r, 2 * r, 2 * r)
