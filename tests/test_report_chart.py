"""Axes with round limits and charts that are well-formed, bounded and described."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report import chart
from bench.report.document import Chart, Panel, Point
from tests.fabricated_run import reported

VALUES = st.lists(st.floats(0.001, 1e7), min_size=1, max_size=6)


@given(VALUES, st.booleans())
def test_an_axis_holds_its_values_between_few_round_ticks(values, zero):
    axis = chart.axis(values, 10, 200, zero=zero)
    assert axis.low <= min(values) * (1 + 1e-6) and axis.high >= max(values) * (1 - 1e-6)
    assert 2 <= len(axis.ticks) <= 7
    assert all(9.999 <= axis.place(value) <= 200.001 for value in axis.ticks)
    mantissa = axis.step / 10 ** math.floor(math.log10(axis.step))
    assert any(mantissa == pytest.approx(m) for m in (1, 2, 2.5, 5, 10))
    labels = [axis.label(tick) for tick in axis.ticks]
    assert len(set(labels)) == len(labels)


def drawn():
    section = next(s for s in reported("mt-fft-6m")[2].sections if s.charts)
    return section.charts[0]


def test_every_panel_is_a_described_image_with_one_shape_per_method():
    data = drawn()
    for panel, svg in zip(data.panels, chart.panels(data), strict=True):
        image = ET.fromstring(svg)
        assert image.get("role") == "img"
        said = image.get("aria-label")
        assert all(point.label in said for point in panel.points)
        shapes = [group[1].tag for group in image.iter("g")]
        assert shapes == ["circle", "rect", "path"][: len(panel.points)]
        absent = [text.text for text in image.iter("text") if "no value" in (text.text or "")]
        assert absent == ([f"no value: {panel.absent[0]}"] if panel.absent else [])


def test_all_panels_share_the_y_axis():
    lines = [
        [line.get("y1") for line in ET.fromstring(svg).iter("line") if line.get("class") == "grid"]
        for svg in chart.panels(drawn())
    ]
    assert lines[0] == lines[1] == lines[2]


def test_labels_are_escaped_and_nothing_leaves_the_drawing():
    point = Point("<b>&", 2, 5.0, 50.0)
    data = Chart("t", "x < y", "y", (Panel("A & B", (point,)),))
    image = ET.fromstring(chart.panels(data)[0])
    assert "<b>&" in image.get("aria-label")
    for node in image.iter("line"):
        assert 0 <= float(node.get("x1")) <= float(node.get("x2")) <= chart.WIDTH
        assert 0 <= float(node.get("y1")) <= chart.HEIGHT
