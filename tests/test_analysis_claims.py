"""Claims decided on tables: each rule on data whose answer is known."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis import claims, published
from bench.analysis.claims import Cost, Ruling
from bench.analysis.claims.rows import parameters
from bench.grid.cells import expand
from bench.records import METHODS, TASKS, TRACKS, Track

SIZES = ("0.5b", "1.5b", "3b")
CELLS = expand(SIZES, METHODS, TASKS)
CLAIMS = claims.load()
PROBLEMS = 100
ISSUES = {
    "python": ("pylint_errors", "pylint_refactors"),
    "java": tuple(
        f"pmd_{name}"
        for name in ("bestpractices", "design", "errorprone", "multithreading", "performance")
    ),
    "csharp": ("roslyn_syntax_errors", "roslyn_maintainability"),
}


def table(track: Track, seed: int, skill: float, issues: float) -> pd.DataFrame:
    """Scores whose mean is about ``skill``; a share of ``issues`` outputs has a finding."""
    draw = np.random.default_rng(seed)
    columns = {"id": [f"p{index}" for index in range(PROBLEMS)]}
    scores = np.clip(draw.normal(skill, 0.05, PROBLEMS), 0, 1)
    if track.task == "generation":
        columns["pass@1"] = (np.arange(PROBLEMS) < skill * PROBLEMS).astype(float)
    elif track.task == "translation":
        columns["codebleu"] = scores
    else:
        columns |= dict.fromkeys(("meteor", "chrf", "bleu", "rouge_l"), scores)
    found = (np.arange(PROBLEMS)[::-1] < issues * PROBLEMS).astype(float)
    for name in ISSUES.get(track.target_language, ()):
        columns[name] = found
    return pd.DataFrame(columns)


def tables(skill=lambda cell: 0.4, issues=lambda cell: 0.5):
    return {
        cell.id: {
            track: table(track, 100 * i + j, skill(cell), issues(cell))
            for j, track in enumerate(TRACKS)
        }
        for i, cell in enumerate(CELLS)
    }


def cost(cell, **changes):
    """Under one setting QLoRA takes half of everything, and a little less memory."""
    less = cell.method == "mt-qlora"
    known = {
        "cpu_s_per_mtoken": 5.0 if less else 10.0,
        "peak_rss_bytes": 8e9 if less else 9e9,
        "artifact_bytes": 1e6 if less else 1e9,
    }
    return Cost(**known | changes)


COSTS = {cell.id: {"tuned": cost(cell), "published": cost(cell)} for cell in CELLS}


def with_costs(reading, method, **changes):
    """The costs, of one method otherwise under one reading."""
    return {
        cell.id: {
            name: cost(cell, **(changes if (name, cell.method) == (reading, method) else {}))
            for name in ("tuned", "published")
        }
        for cell in CELLS
    }


def decided(data, *ids, costs=COSTS):
    wanted = [claim for claim in CLAIMS if claim.id in ids or not ids]
    found = claims.decide(wanted, CELLS, data, costs)
    return {verdict.id: verdict for verdict in found}


def test_every_claim_has_a_verdict_and_each_part_of_it():
    found = decided(tables())
    assert len(found) == 6 + 2 * 3 * 3 + 3 * 2 + 3
    for verdict in found.values():
        assert verdict.reason and verdict.evidence
        assert verdict.whole == ("/" not in verdict.id)
        assert verdict.verdict in Ruling
    part = found["mt-qlora-vs-mt-fft/summarization/1.5b"]
    assert (part.task, part.size, part.claim) == ("summarization", "1.5b", "mt-qlora-vs-mt-fft")
    assert {row.metric for row in part.evidence if row.decides} == {"meteor", "chrf"}
    assert {row.metric for row in part.evidence if not row.decides} == {"bleu", "rouge_l"}
    (row, *_) = part.evidence
    assert row.cells == ("mt-qlora-1.5b", "mt-fft-1.5b")
    assert (row.n, row.lost, row.limit) == (PROBLEMS, 0, 0.02)
    assert row.low <= row.difference <= row.high
    values = [row.values[cell] for cell in row.cells]
    assert row.difference == pytest.approx(values[0] - values[1])
    whole = found["mt-qlora-vs-mt-fft"]
    assert len(whole.evidence) == 3 * (2 + 4 + 2)


def test_a_better_method_is_supported_and_a_worse_one_contradicted():
    skill = {"st-qlora": 0.3, "mt-qlora": 0.5, "mt-fft": 0.7}
    found = decided(
        tables(skill=lambda cell: skill[cell.method]), "mt-qlora-vs-st-qlora", "mt-qlora-vs-mt-fft"
    )
    for part, verdict in found.items():
        if part.startswith("mt-qlora-vs-st-qlora"):
            assert verdict.verdict is Ruling.SUPPORTED
        if part.startswith("mt-qlora-vs-mt-fft"):
            assert verdict.verdict is Ruling.CONTRADICTED
    assert found["mt-qlora-vs-st-qlora"].reason == "MT-QLoRA is better than ST-QLoRA"


def test_a_lower_score_is_the_better_one_where_the_file_says_so():
    (claim, *_) = CLAIMS
    measure = claim.measures[0].model_copy(update={"better": "lower"})
    turned = claim.model_copy(update={"measures": (measure,)})
    skill = {"st-qlora": 0.3, "mt-qlora": 0.5, "mt-fft": 0.7}
    data = tables(skill=lambda cell: skill[cell.method])
    (whole, *_) = claims.decide([turned], CELLS, data)
    assert whole.verdict is Ruling.CONTRADICTED
    assert all(row.difference < 0 for row in whole.evidence)


def test_one_bad_part_contradicts_the_whole_and_is_named():
    data = tables()
    worse = table(TRACKS[-1], 7, 0.2, 0.5)
    data["mt-qlora-3b"][TRACKS[-1]] = worse
    whole = decided(data, "mt-qlora-vs-mt-fft")["mt-qlora-vs-mt-fft"]
    assert whole.verdict is Ruling.CONTRADICTED
    assert "1 contradicted (translation/3b)" in whole.reason


@pytest.mark.parametrize(
    ("skill", "issues", "balance", "keep", "more"),
    [
        ((0.2, 0.4, 0.6), (0.5, 0.3, 0.1), "supported", "contradicted", "supported"),
        ((0.6, 0.6, 0.6), (0.5, 0.3, 0.1), "supported", "supported", "supported"),
        ((0.6, 0.4, 0.2), (0.1, 0.3, 0.5), "contradicted", "supported", "contradicted"),
        # So overall, but against the claim from one size to the next.
        ((0.4, 0.2, 0.6), (0.4, 0.6, 0.1), "inconclusive", "contradicted", "inconclusive"),
    ],
)
def test_what_changes_with_size(skill, issues, balance, keep, more):
    found = decided(
        tables(
            skill=lambda cell: skill[SIZES.index(cell.size)],
            issues=lambda cell: issues[SIZES.index(cell.size)],
        ),
        *(claim.id for claim in CLAIMS[2:5]),
    )
    assert found["larger-models-balance"].verdict == balance
    assert found["smaller-models-keep-function"].verdict == keep
    assert found["smaller-models-more-issues"].verdict == more
    row = found["smaller-models-more-issues/generation"].evidence[0]
    assert list(row.values) == list(SIZES)
    assert row.difference == pytest.approx(row.values["3b"] - row.values["0.5b"])
    assert len(row.cells) == 9


def test_sizes_are_compared_in_their_order_not_the_grids():
    data = tables(skill=lambda cell: {"0.5b": 0.2, "1.5b": 0.4, "3b": 0.6}[cell.size])
    shuffled = sorted(CELLS, key=lambda cell: (cell.size != "3b", cell.id))
    one, two = (claims.decide([CLAIMS[3]], cells, data)[1].evidence for cells in (CELLS, shuffled))
    assert [row.finding for row in one] == [row.finding for row in two]
    assert [row.size for row in two[:2]] == ["0.5b", "1.5b"]


def test_the_words_of_a_size_tell_its_parameters():
    assert [parameters(name) for name in ("0.5m", "1.5b", "qwen-3B", "tiny")] == [
        5e5,
        1.5e9,
        3e9,
        None,
    ]


def test_sizes_without_order_or_company_are_not_run():
    trend = [CLAIMS[2]]
    for names, why in ((("tiny", "large"), "do not tell"), (("1b",), "one size alone")):
        cells = expand(names, METHODS, TASKS)
        data = {cell.id: {track: table(track, 1, 0.4, 0.5) for track in TRACKS} for cell in cells}
        (whole, *_) = claims.decide(trend, cells, data)
        assert whole.verdict is Ruling.NOT_RUN and why in whole.reason


def test_a_method_that_lacks_a_size_is_left_out_and_named():
    data = tables(skill=lambda cell: {"0.5b": 0.2, "1.5b": 0.4, "3b": 0.6}[cell.size])
    del data["mt-fft-3b"]
    part = decided(data, "larger-models-balance")["larger-models-balance/generation"]
    assert part.verdict is Ruling.SUPPORTED
    assert part.reason.endswith("; without MT-FFT, which lacks values")
    assert not any(cell.startswith("mt-fft") for row in part.evidence for cell in row.cells)


def test_the_mixtures_of_rq3_are_no_cells_of_a_claim():
    cells = (*CELLS, *expand((), METHODS, TASKS, [("mt-qlora", "3b", TASKS[:2])]))
    assert len(cells) == len(CELLS) + 1
    data, some = tables(), CLAIMS[2:4]
    assert claims.decide(some, cells, data) == claims.decide(some, CELLS, data)


def resources(costs):
    return decided({}, "qlora-needs-less", costs=costs)


def test_each_cost_has_a_row_as_published_and_one_at_its_best():
    part = resources(COSTS)["qlora-needs-less/3b"]
    assert [(row.metric, row.reading) for row in part.evidence if row.decides] == [
        ("cpu_s_per_mtoken", "published"),
        ("cpu_s_per_mtoken", "tuned"),
        ("peak_rss_bytes", "published"),
        ("peak_rss_bytes", "tuned"),
        ("artifact_bytes", None),
    ]
    found = [row.difference for row in part.evidence if row.decides]
    assert found == pytest.approx([-0.5, -0.5, -1 / 9, -1 / 9, -0.999])
    assert resources(COSTS)["qlora-needs-less"].verdict is Ruling.SUPPORTED
    energy = [row for row in part.evidence if row.metric == "energy_j_per_mtoken"]
    assert len(energy) == 2 and not any(row.decides for row in energy)
    assert all(row.finding.ruling is Ruling.NOT_RUN for row in energy)


def test_a_claim_that_turns_on_the_setting_says_so_with_both_figures():
    found = resources(with_costs("published", "mt-qlora", cpu_s_per_mtoken=17.0))
    part = found["qlora-needs-less/3b"]
    assert part.verdict is Ruling.DEPENDS
    assert "as published: 1.7 times the other" in part.reason
    assert "at its best setting: 0.5 times the other" in part.reason
    assert found["qlora-needs-less"].verdict is Ruling.DEPENDS
    both = {
        cell: {name: dataclasses.replace(one, cpu_s_per_mtoken=17.0) for name, one in of.items()}
        if cell.startswith("mt-qlora")
        else of
        for cell, of in COSTS.items()
    }
    assert resources(both)["qlora-needs-less/3b"].verdict is Ruling.CONTRADICTED


@pytest.mark.parametrize("reading", ["tuned", "published"])
@pytest.mark.parametrize("value", [1.0, 99.0])
def test_one_reading_alone_decides_nothing(reading, value):
    other = {"tuned": "published", "published": "tuned"}[reading]
    lacks = {"": "add --with published-cost"}
    alone = {
        cell.id: {reading: cost(cell), other: Cost(lacks=lacks)}
        if cell.method != "mt-qlora"
        else {reading: cost(cell, cpu_s_per_mtoken=value), other: Cost(lacks=lacks)}
        for cell in CELLS
    }
    part = resources(alone)["qlora-needs-less/3b"]
    assert part.verdict is Ruling.INCONCLUSIVE
    assert "not run: time of mt-qlora-3b, mt-fft-3b is not measured" in part.reason
    assert "add --with published-cost" in part.reason


def test_costs_are_those_of_the_gpu_where_all_have_it():
    gpu = {
        name: {
            reading: dataclasses.replace(
                one, peak_device_bytes=1e9, wall_s_per_mtoken=1.0, energy_j_per_mtoken=5.0
            )
            for reading, one in of.items()
        }
        for name, of in COSTS.items()
    }
    part = resources(gpu)["qlora-needs-less/3b"]
    assert [row.metric for row in part.evidence][::2] == [
        "wall_s_per_mtoken",
        "energy_j_per_mtoken",
        "peak_device_bytes",
        "artifact_bytes",
    ]
    assert all(row.decides for row in part.evidence)
    assert part.verdict is Ruling.INCONCLUSIVE
    lost = {name: of for name, of in COSTS.items() if name != "mt-fft-3b"}
    part = resources(lost)["qlora-needs-less/3b"]
    assert part.verdict is Ruling.NOT_RUN
    assert "time of mt-fft-3b is not measured" in part.reason
    none = resources(None)["qlora-needs-less"]
    assert none.verdict is Ruling.NOT_RUN and "is published anywhere" in none.reason


def test_the_setting_that_a_figure_holds_for_is_named():
    told = {
        name: {r: dataclasses.replace(one, setting=f"{r}, 2 rows at once") for r, one in of.items()}
        for name, of in COSTS.items()
    }
    part = resources(told)["qlora-needs-less/3b"]
    reasons = {row.reading: row.finding.reason for row in part.evidence if row.decides}
    assert reasons["published"] == "0.889 times the other (published, 2 rows at once)"
    assert reasons["tuned"].endswith("(tuned, 2 rows at once)")
    assert "rows" not in reasons[None]


@settings(max_examples=10)
@given(st.sets(st.sampled_from([cell.id for cell in CELLS])), st.sets(st.sampled_from(TRACKS)))
def test_nothing_is_supported_or_contradicted_without_data(cells, tracks):
    data = {name: {track: table(track, 1, 0.4, 0.5) for track in tracks} for name in cells}
    for verdict in claims.decide(CLAIMS, CELLS, data):
        found = [row for row in verdict.evidence if row.decides]
        if verdict.verdict in (Ruling.SUPPORTED, Ruling.CONTRADICTED):
            assert any(row.n > 0 for row in found)
        if verdict.verdict is Ruling.SUPPORTED:
            assert all(row.n > 0 for row in found)
        if all(row.n == 0 for row in found):
            assert verdict.verdict is Ruling.NOT_RUN


def test_no_grid_at_all_is_told():
    found = claims.decide(CLAIMS, (), {})
    assert {verdict.verdict for verdict in found} == {Ruling.NOT_RUN}
    assert found[0].reason == "not run: the grid has no size with MT-QLoRA and ST-QLoRA"
    assert all(verdict.reason for verdict in found)


def test_twice_the_same_is_the_same():
    data, some = tables(), CLAIMS[3:]
    assert claims.decide(some, CELLS, data) == claims.decide(some, CELLS, data)


def test_the_published_values_decide_as_their_means_say(mirror):
    cells, data = published.tables(published.package(mirror), "published")
    found = {v.id: v for v in claims.decide(CLAIMS, cells, data, variant="published")}
    passed = found["mt-qlora-vs-st-qlora/generation/3b"].evidence
    assert [round(100 * row.values["st-qlora-3b"], 2) for row in passed] == [20.63, 29.89]
    java = next(row for row in passed if row.language == "java")
    assert round(100 * java.values["mt-qlora-3b"], 2) == 32.07
    code = found["mt-qlora-vs-mt-fft/translation/3b"]
    assert code.verdict is Ruling.CONTRADICTED
    means = {row.language: row.values for row in code.evidence if row.decides}
    assert round(100 * means["cs_java"]["mt-fft-3b"], 2) == 81.44
    assert {row.metric for row in code.evidence} == {"codebleu@published"}
    assert found["qlora-needs-less"].verdict is Ruling.NOT_RUN
    sizes = {v.size for v in found.values()} - {None}
    assert sizes == set(SIZES)
    assert all(
        row.n > 90 for v in found.values() for row in v.evidence if row.metric not in COST_COLUMNS
    )


COST_COLUMNS = (
    "cpu_s_per_mtoken",
    "energy_j_per_mtoken",
    "peak_rss_bytes",
    "artifact_bytes",
)


def test_parts_are_listed_behind_their_claim():
    found = claims.decide(CLAIMS, CELLS, {}, COSTS)
    grouped = [key for key, _ in itertools.groupby(found, key=lambda verdict: verdict.claim)]
    assert grouped == [claim.id for claim in CLAIMS]
    assert [v.id for v in found if v.whole] == grouped
