"""What scoring costs: each metric on a track's 48 outputs, and a stage's six tracks.

A scoring stage runs once per model (18 times in the smoke grid), so a tenth of a second
here is seconds there. Imports are paid once, by the process that the stages fork from.
"""

from __future__ import annotations

import time

import pytest

from bench.data import embedded
from bench.records import TRACKS, Generation
from bench.scoring import metrics, score
from bench.scoring.admission import NotRunError

OUTPUTS_PER_TRACK = 48
NEEDS_LANGUAGE = ("codebleu", "lizard", "cognitive", "sonar")


@pytest.fixture(scope="module")
def problems():
    functions = embedded.load()
    return {
        track: embedded.samples(functions, "train", track)[:OUTPUTS_PER_TRACK] for track in TRACKS
    }


def damaged(text, index):
    """An output that is as wrong as a tiny model's: whole, cut or missing a piece."""
    place = 7 * index % max(1, len(text))
    return (text, text[:place], text[:place] + text[place + 9 :], "")[index % 4]


@pytest.mark.parametrize("name", metrics.COLUMNS)
def test_metric(benchmark, problems, name):
    try:
        metrics.load(name)
    except NotRunError as error:
        pytest.skip(str(error))
    if name in ("side", "judge"):
        pytest.skip("what it costs is its model's or endpoint's, which the user brings")
    texts = name in ("rouge_l", "meteor", "meteor_wordnet", "embedding_similarity", "bertscore")
    samples = problems[TRACKS[2] if texts else TRACKS[0]]
    references = [sample.reference for sample in samples]
    outputs = [damaged(text, index) for index, text in enumerate(references)]
    options = {"language": "python"} if name in NEEDS_LANGUAGE else {}
    against = None if name in metrics.WITHOUT_REFERENCE else references
    try:
        metrics.compute(name, outputs[:1], against and against[:1], **options)
    except NotRunError as error:
        pytest.skip(str(error))
    rows = benchmark.pedantic(
        metrics.compute, (name, outputs, against), options, rounds=3, warmup_rounds=1
    )
    assert len(rows.reasons) == len(outputs)


def test_stage(benchmark, problems):
    samples = [sample for members in problems.values() for sample in members]
    generations = [
        Generation(
            sample.id,
            "embedded",
            sample.track.task,
            sample.track.language,
            *("", 1, 1, "stop", ""),
            damaged(sample.reference, index),
        )
        for index, sample in enumerate(samples)
    ]
    options = score.Options(dict.fromkeys(TRACKS, "embedded"))

    def stage():
        return score.score({"embedded": samples}, generations, None, options=options)

    stage()
    before = time.process_time()
    found = benchmark.pedantic(stage, rounds=3)
    benchmark.extra_info["outputs"] = len(generations)
    benchmark.extra_info["own_cpu_s"] = round((time.process_time() - before) / 3, 3)
    assert len(found.tables) == len(TRACKS)
