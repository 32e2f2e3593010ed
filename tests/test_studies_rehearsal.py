"""The study `paper` rehearsed from data to claims: nothing is replaced but weights and caps.

One run through the real command line (some five minutes of CPU time) serves all tests.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.data.sources import cache_folder
from bench.grid import study
from bench.grid.plan import of_base, of_model
from bench.scoring import hubmodels
from tests import tiny_encoders

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
REHEARSAL = study.load("rehearsal")
LABELS = [suite.label for suite in REHEARSAL.suites]
TRACKS = {
    "codereval": ("generation-python", "generation-java", "summarization-python",
                  "summarization-java"),
    "codexglue-trans": ("translation-java_cs", "translation-cs_java"),
}  # fmt: skip
PROBLEMS = 8
#: A column of each metric that the study asks for beyond the usual ones, with a track of its.
FURTHER = {
    "pmd": "generation/java/pmd_design",
    "checkstyle": "generation/java/checkstyle_violations",
    "roslyn": "translation/java_cs/roslyn_syntax_errors",
    "cognitive": "generation/python/cognitive_complexity",
    "sonar": "generation/python/sonar_maintainability",
    "bertscore": "summarization/python/bertscore",
    "side": "summarization/java/side",
    "judge": "summarization/python/judge_adequacy",
}


def command(root: Path, mirror: Path, *words: str) -> subprocess.CompletedProcess[str]:
    options = ["--study", "rehearsal", "--mirror", str(mirror), "--results", str(root / "results")]
    return subprocess.run(
        [sys.executable, "-m", "bench", *words, *options, "--offline"],
        cwd=ROOT,
        env={
            **os.environ,
            "BENCH_CACHE": str(root / "cache"),
            hubmodels.SIDE_VARIABLE: str(root / "side"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory, mirror):
    """The folder of a run in a cache of its own, which shares nothing but installed tools."""
    root = tmp_path_factory.mktemp("rehearsal")
    (root / "cache").mkdir()
    tools = cache_folder().resolve() / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    (root / "cache" / "tools").symlink_to(tools)
    tiny_encoders.mpnet(root / "side" / "hard-negatives" / "141205", seed=1)
    done = command(root, mirror, "run", "--jobs", "2")
    assert done.returncode == 0, done.stdout[-4000:]
    return root


@pytest.fixture(scope="module")
def results(rehearsed):
    return json.loads((rehearsed / "results" / "rehearsal" / "results.json").read_text())


def owners():
    """Every base and model of the grid with its tasks and stages."""
    for base in REHEARSAL.sizes:
        yield f"bases/{base.name}", REHEARSAL.tasks, of_base(REHEARSAL)
    for cell in study.expand(REHEARSAL):
        for model in cell.models:
            yield f"cells/{cell.id}/{model.id}", model.tasks, of_model(REHEARSAL, model.tasks)


def generations(rehearsed, owner):
    path = rehearsed / "results" / "rehearsal" / owner / "generate" / "generations.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_stage_of_every_model_ends_ok_within_its_budget(rehearsed, results):
    cpu_s = Counter()
    for owner, _, stages in owners():
        for stage in stages:
            path = rehearsed / "results" / "rehearsal" / owner / stage / "record.json"
            record = json.loads(path.read_text())
            assert (record["outcome"], record["reason"]) == ("ok", None), owner
            cpu_s[stage] += record["cpu_s"]
    assert {cell["outcome"] for cell in results["cells"]} == {"ok"}
    assert [cell["id"] for cell in results["cells"]] == [c.id for c in study.expand(REHEARSAL)]
    assert sum(cpu_s.values()) < 450, dict(cpu_s)


def test_every_problem_is_answered_under_every_label(rehearsed):
    for owner, tasks, _ in owners():
        found = Counter((one["suite"], f"{one['task']}-{one['language']}")
                        for one in generations(rehearsed, owner))  # fmt: skip
        wanted = {
            (suite.label, track): PROBLEMS
            for suite in REHEARSAL.suites
            for track in TRACKS[suite.name]
            if track.partition("-")[0] in tasks
        }
        assert found == wanted


def test_a_problem_is_asked_in_two_ways_and_the_same_way_by_all_models(rehearsed):
    """Published and corrected prompts differ everywhere; one of them by the mixture, too."""
    prompts = {}
    for owner, tasks, _ in owners():
        for one in generations(rehearsed, owner):
            place = (one["suite"], one["id"], len(tasks) == 1)
            prompts.setdefault(place, set()).add(one["prompt_sha256"])
    assert all(len(found) == 1 for found in prompts.values())
    for (label, problem, alone), found in prompts.items():
        if not label.endswith("-corrected"):
            assert prompts[f"{label}-corrected", problem, alone] != found
    alone_or_not = {
        (label, problem): (prompts.get((label, problem, True)), prompts[label, problem, False])
        for label, problem, alone in prompts
        if not alone
    }
    differing = {place for place, (one, many) in alone_or_not.items() if one not in (None, many)}
    assert {label for label, _ in differing} == {"codereval-corrected"}
    assert all(problem.endswith("@generation/java") for _, problem in differing)


def test_summaries_are_cut_where_the_scripts_cut_them(rehearsed):
    long = [
        one
        for owner, _, _ in owners()
        for one in generations(rehearsed, owner)
        if one["suite"] == "codereval" and one["task"] == "summarization"
    ]
    assert max(one["prompt_tokens"] for one in long) == 512


def test_every_metric_of_the_study_has_a_value_or_says_why_not(results):
    assert set(FURTHER) == set(REHEARSAL.scoring.metrics)
    for cell in results["cells"]:
        for key, value in cell["metrics"].items():
            assert value is not None or cell["notes"][key], key
    multi = next(cell for cell in results["cells"] if cell["id"] == "mt-qlora-large")
    keys = {key: multi["notes"].get(key) for key in multi["metrics"]}
    for metric, column in FURTHER.items():
        suite = "codexglue-trans" if "translation" in column else "codereval"
        for key in (column, f"{column}:{suite}-corrected"):
            assert key in keys, metric
            assert multi["metrics"][key] is not None or keys[key], metric
    # The only encoder that is here: a stand-in of the hard-negatives checkpoint.
    assert -1 <= multi["metrics"]["summarization/java/side"] <= 1
    assert "baseline" in multi["notes"]["summarization/java/side@published"]
    for track in ("generation/python", "generation/java"):
        assert multi["notes"][f"{track}/pass@1"].startswith("not run")


def test_every_question_is_asked_of_every_suite(rehearsed):
    path = rehearsed / "results" / "rehearsal" / "stats.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    asked = {(row["rq"], row["suite"]) for row in rows}
    assert asked == {(rq, label) for rq in ("RQ1", "RQ2", "RQ3") for label in LABELS}
    assert {row["adjust"] for row in rows} == {"holm", "BH"}
    assert {row["test"] for row in rows} == {"wilcoxon", "mcnemar"}
    mixed = {row["comparison"] for row in rows if row["rq"] == "RQ3"}
    assert len(mixed) == 3
    assert {row["size"] for row in rows if row["rq"] == "RQ3"} == {"large"}
    tested = [row for row in rows if row["p_adj"] != "NA"]
    assert {row["rq"] for row in tested} == {"RQ1", "RQ2", "RQ3"}
    assert all(row["reason"] for row in rows if row["p_adj"] == "NA")


def test_every_claim_is_decided_or_says_why_not(rehearsed):
    claims = json.loads((rehearsed / "results" / "rehearsal" / "claims.json").read_text())
    verdicts = [claim["verdict"] for claim in claims["claims"]]
    assert len(verdicts) >= 4
    assert set(verdicts) <= {"supported", "contradicted", "inconclusive", "not run"}
    assert set(verdicts) != {"not run"}


def test_the_reports_name_every_suite_and_mixture(rehearsed):
    folder = rehearsed / "results" / "rehearsal"
    text = (folder / "report.md").read_text()
    for label in LABELS:
        assert label in text
    assert "MT-QLoRA, summarization + translation" in text
    assert "proves the pipeline, not quality" in text
    assert (folder / "report.html").stat().st_size > 10_000


def test_a_second_run_has_nothing_to_do(rehearsed, mirror):
    done = command(rehearsed, mirror, "run")
    assert done.returncode == 0
    assert "55 stages, 0 to run" in done.stdout
    told = json.loads(command(rehearsed, mirror, "plan", "--json").stdout)
    states = {stage["state"] for part in (*told["bases"], *(model for cell in told["cells"]
              for model in cell["models"])) for stage in part["stages"]}  # fmt: skip
    assert states == {"done"}
    assert told["with"] == ["rq3"]
