"""The study `paper` at the true shapes of its models: every stage ends well, on any machine.

Random weights, few rows, two steps. Minutes of CPU time and up to 14 GB of memory a test, so that
they run only when asked for: ``nox -s tests -- --mirror DIR --true-shapes``.
"""

from __future__ import annotations

import json

import pytest

from bench import cli
from tests import true_shapes


@pytest.fixture(autouse=True)
def _asked_for(request):
    if not request.config.getoption("--true-shapes"):
        pytest.skip("minutes of CPU time and up to 14 GB of memory; add --true-shapes")


def outcomes(results):
    return {
        record.parent.relative_to(results).as_posix(): json.loads(record.read_text())
        for record in results.glob("*/*/**/record.json")
    }


def run(tmp_path, mirror, size, cells, layers=None):
    folder = tmp_path / "model"
    weights = true_shapes.make(size, folder, layers)
    true_shapes.study(tmp_path / "shaped.toml", "shaped", {size: folder})
    asked = [word for cell in cells for word in ("--cells", f"{cell}-{size}")]
    options = ["--results", str(tmp_path / "results"), "--mirror", str(mirror), "--jobs", "1"]
    options += ["--executor", "venv", "--anyway", *asked]  # no GPU: the CPU is meant
    code = cli.main(["run", "--study", str(tmp_path / "shaped.toml"), *options])
    found = outcomes(tmp_path / "results" / "shaped")
    assert {name: one["reason"] for name, one in found.items() if one["outcome"] != "ok"} == {}
    assert code == 0
    return weights, found


def test_three_cells_at_the_shape_of_half_a_billion(tmp_path, mirror, capsys):
    weights, found = run(tmp_path, mirror, "0.5b", ["st-qlora", "mt-qlora", "mt-fft"])
    assert weights == 494_032_768
    assert sum(name.endswith("train") for name in found) == 5
    told = capsys.readouterr()
    assert "lm_head" not in told.out + told.err
    for name, one in found.items():
        if name.endswith("train"):
            assert one["details"]["micro_batch"]["rows"] == 2
            assert one["details"]["steps"] == 2


@pytest.mark.parametrize("size", ["1.5b", "3b", "7b"])
def test_true_widths_with_depth_cut(tmp_path, mirror, size):
    cells = ["mt-qlora"] if size == "7b" else ["mt-qlora", "mt-fft"]
    _, found = run(tmp_path, mirror, size, cells, layers=1)
    assert sum(name.endswith("train") for name in found) == len(cells)
