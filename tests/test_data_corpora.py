"""Corpora and suites by name."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import codetotext, corpora, digests, embedded, hub, problems, sources
from bench.data.hub import lock as hublock
from bench.data.hub import tables as hubtables
from bench.errors import BenchError, DataError, MachineError
from bench.grid import study
from bench.grid.study import Suite, TrainingData
from bench.records import TASKS, TRACKS

EMBEDDED = TrainingData(corpus="embedded")


def test_the_embedded_corpus_trains_every_track_and_tests_apart():
    samples = corpora.training_samples(EMBEDDED, TASKS, None)
    assert set(samples) == {"train", "valid"}
    tested = problems.suite_problems(Suite(name="embedded"), TASKS, None)
    for split in (*samples.values(), tested):
        assert {sample.track for sample in split} == set(TRACKS)
        assert len({sample.id for sample in split}) == len(split)
    assert not {s.id for s in samples["train"]} & {p.id for p in tested}


def test_tasks_select_tracks():
    samples = corpora.training_samples(EMBEDDED, ["summarization"], None)
    assert {str(s.track) for s in samples["train"]} == {
        "summarization/python",
        "summarization/java",
    }
    assert problems.suite_problems(Suite(name="humaneval"), ["translation"], None) == []


@given(st.integers(1, 60), st.integers(1, 80))
def test_evenly_spaced(count, cap):
    picked = corpora.evenly_spaced(list(range(count)), cap)
    assert len(picked) == min(count, cap)
    assert picked[0] == 0
    gaps = {b - a for a, b in itertools.pairwise(picked)}
    assert not gaps or (min(gaps) >= 1 and max(gaps) - min(gaps) <= 1)


def test_caps_are_per_track_and_keep_the_parts():
    data = TrainingData(corpus="embedded", max_samples_per_track=25)
    samples = corpora.training_samples(data, TASKS, None)
    assert [sum(s.track == t for s in samples["train"]) for t in TRACKS] == [25] * 6
    assert [sum(s.track == t for s in samples["valid"]) for t in TRACKS] == [3] * 6
    suite = Suite(name="embedded", max_problems_per_track=20)
    assert {p.part for p in problems.suite_problems(suite, TASKS, None)} == {"near", "far"}


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(BenchError, match="unknown corpus 'embeded' — did you mean: embedded"):
        corpora.training_samples(TrainingData(corpus="embeded"), TASKS, None)
    with pytest.raises(BenchError, match="unknown suite 'humanevalx' — did you mean: humaneval"):
        problems.suite_problems(Suite(name="humanevalx"), TASKS, None)


def test_a_study_of_public_files_needs_a_mirror():
    with pytest.raises(DataError, match="name the folder that holds them: --mirror DIR"):
        corpora.training_samples(TrainingData(corpus="codexglue"), ["translation"], None)


def test_digests_of_the_smoke_study():
    smoke = study.load("smoke")
    assert set(digests.of_study(smoke, None)) == {
        "datasets/prompts/kit.toml",
        *(f"datasets/embedded/{path.name}" for path in embedded.files()),
    }
    assert (
        digests.of_stages(smoke, TASKS, None)["base"]
        == digests.of_stages(smoke, TASKS, None)["score"]
    )


def test_digests_of_the_mini_study_need_no_file_but_verify_a_mirror(tmp_path):
    mini = study.load("mini")
    stages = digests.of_stages(mini, TASKS, None)
    assert all(len(value) == 64 for files in stages.values() for value in files.values())
    translation = digests.of_stages(mini, ["translation"], None)
    assert set(translation["train"]) < set(stages["train"])
    assert not any("humaneval" in path for path in translation["score"])
    with pytest.raises(DataError, match="the mirror lacks this file"):
        digests.of_study(mini, tmp_path)


def test_the_mini_study_reads_the_whole_mirror(mirror):
    mini = study.load("mini")
    assert digests.of_study(mini, mirror) == digests.of_study(mini, None)
    samples = corpora.training_samples(mini.data, TASKS, mirror)
    cap = mini.data.max_samples_per_track
    assert max(sum(s.track == t for s in samples["train"]) for t in TRACKS) == cap
    tracks = {p.track for s in mini.suites for p in problems.suite_problems(s, TASKS, mirror)}
    assert tracks == set(TRACKS)


def test_mini_shares_its_bases_with_smoke():
    assert study.load("mini").sizes == study.load("smoke").sizes


# CodeXGLUE in full


def full(**changes):
    return TrainingData(corpus="codexglue-full", **changes)


@pytest.fixture
def hub_data(mirror, tmp_path, monkeypatch):
    """The mirror's subsets as the hub has the whole: Parquet in two parts, locked."""
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    source, revision = "google/code_x_glue_ct_code_to_text", "a" * 40
    folder = tmp_path / "data" / "hub" / source / revision
    rows = {}
    for language, (split, subset) in itertools.product(
        ("python", "java"), (("train", "test"), ("validation", "valid"))
    ):
        path = mirror / f"codexglue/code-to-text/{language}/{subset}_subset.jsonl"
        records = [json.loads(line) for line in path.open()]
        rows.setdefault(language, {})[split] = len(records)
        (folder / language).mkdir(parents=True, exist_ok=True)
        half = len(records) // 2
        for number, part in enumerate((records[:half], records[half:])):
            name = folder / language / f"{split}-0000{number}-of-00002.parquet"
            pyarrow.parquet.write_table(arrow.Table.from_pylist(part), name)
    known = hub.Repository(source, "dataset", rows=rows)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "repositories", lambda: {source: known})
    monkeypatch.setattr(hublock, "PATH", tmp_path / "project.lock.json")
    files = {
        str(path.relative_to(folder)): hublock.LockedFile(
            path.stat().st_size, sources.sha256_of(path)
        )
        for path in folder.rglob("*.parquet")
    }
    hublock.save({source: hublock.Locked(revision, files)}, tmp_path / "data")
    shutil.copytree(mirror / "codexglue", tmp_path / "data" / "codexglue")
    return tmp_path / "data"


def test_the_full_corpus_is_read_as_the_subsets_are(mirror, hub_data):
    whole = corpora.load(full(), TASKS, hub_data)
    parts = corpora.load(TrainingData(corpus="codexglue"), TASKS, mirror)

    def essence(sample):
        return (sample.id, sample.track, sample.inputs.get("code"), sample.reference)

    for split in ("train", "valid"):
        assert [essence(s) for s in whole.samples[split]] == [
            essence(s) for s in parts.samples[split]
        ]
    assert whole.counts == parts.counts


def test_counts_say_what_became_of_every_row(hub_data):
    loaded = corpora.load(full(max_samples_per_track=50), TASKS, hub_data)
    counts = {(one.split, f"{one.task}/{one.language}"): one for one in loaded.counts}
    python = counts["train", "summarization/python"]
    assert (python.read, python.kept, python.used) == (130, 127, 50)
    assert python.dropped == {"summary too short": 3}
    assert counts["valid", "generation/java"].read == 103
    assert counts["valid", "generation/java"].used == 5
    assert counts["train", "translation/java_cs"].read == 10_295
    for one in loaded.counts:
        assert one.read == one.kept + sum(one.dropped.values())
    json.dumps(loaded.as_json())


def test_the_published_variant_keeps_every_row_as_joined_tokens(mirror, hub_data):
    loaded = corpora.load(full(variant="published"), ["summarization"], hub_data)
    assert [one.dropped for one in loaded.counts] == [{}] * 4
    path = mirror / "codexglue/code-to-text/python/test_subset.jsonl"
    first = json.loads(path.open().readline())
    sample = loaded.samples["train"][0]
    assert sample.inputs["code_tokens"] == " ".join(first["code_tokens"])
    assert sample.inputs["code"] is sample.inputs["code_tokens"]
    assert sample.reference == sample.inputs["docstring_tokens"]
    assert sample.reference == " ".join(first["docstring_tokens"])


def test_generation_is_derived_alike_in_both_variants(hub_data):
    derived = [
        corpora.load(full(variant=variant), ["generation"], hub_data).samples
        for variant in ("published", "corrected")
    ]
    assert derived[0] == derived[1]
    sample = derived[0]["train"][0]
    assert sample.reference.startswith(sample.inputs["signature"].split("(")[0])


def test_a_split_with_other_rows_is_refused_when_it_is_read(hub_data):
    folder = next((hub_data / "hub").rglob("python"))
    rows = {"python": {"train": 131}}
    wrong = dataclasses.replace(codetotext.repository(), rows=rows)
    with pytest.raises(DataError, match=r"python/train has 130 rows, expected 131; refused"):
        codetotext.functions("python", "train", folder.parent, wrong)


def test_reading_in_full_holds_one_batch_at_a_time(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    row = {"code": "x" * 10_000, "docstring": "y"}
    table = arrow.Table.from_pylist([row] * 1000)
    path = tmp_path / "a.parquet"
    with pyarrow.parquet.ParquetWriter(path, table.schema, use_dictionary=False) as writer:
        for _ in range(20):
            writer.write_table(table)
    tracemalloc.start()
    count = sum(1 for _ in hubtables.records(path, {"code": str}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 60_000_000  # 200 MB of text went by


def authors(tmp_path, line):
    for language, split in itertools.product(("python", "java"), ("train", "valid")):
        (tmp_path / f"{language}.{split}.jsonl").write_text(f"{json.dumps(line)}\n" * 3)
    return full(generation_files=str(tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        {"summary": "Add one.", "signature": "def f(x):", "output": "def f(x):\n    return x + 1"},
        {
            "input": "Summary: Add one.\nSignature: def f(x):",
            "output": "def f(x):\n    return x + 1",
        },
    ],
)
def test_a_user_may_have_the_authors_generation_files(tmp_path, line):
    loaded = corpora.load(authors(tmp_path, line), ["generation"], None)
    assert len(loaded.samples["train"]) == 6
    sample = loaded.samples["train"][0]
    assert sample.inputs == {"summary": "Add one.", "signature": "def f(x):"}
    assert sample.reference == line["output"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"summary": "a", "output": "b"}, r"python\.train\.jsonl:1: 'signature' is missing"),
        ({"input": "a", "output": "b"}, r"python\.train\.jsonl:1: 'input' without Summary: and"),
        ({"input": "Summary: a Signature: b"}, r"python\.train\.jsonl:1: 'output' is missing"),
    ],
)
def test_what_the_authors_files_lack_is_named(tmp_path, line, message):
    with pytest.raises(DataError, match=message):
        corpora.load(authors(tmp_path, line), ["generation"], None)


def test_the_authors_files_are_part_of_the_keys(tmp_path):
    line = {"summary": "Add one.", "signature": "def f(x):", "output": "def f(x): return 1"}
    paper = study.load("mini").model_copy(update={"data": authors(tmp_path, line)})
    before = digests.of_stages(paper, ["generation"], None)["train"]
    (tmp_path / "java.valid.jsonl").write_text(json.dumps(line))
    after = digests.of_stages(paper, ["generation"], None)["train"]
    assert before.keys() == after.keys()
    assert before != after
    (tmp_path / "java.valid.jsonl").unlink()
    with pytest.raises(DataError, match=r"java\.valid\.jsonl: no such file"):
        digests.of_stages(paper, ["generation"], None)
    with pytest.raises(BenchError, match="generation_files belong to the corpus codexglue-full"):
        corpora.authors_folder(TrainingData(corpus="embedded", generation_files="x"))


def test_locked_files_are_part_of_the_keys(hub_data, tmp_path):
    data = study.load("mini").model_copy(update={"data": full(), "suites": ()})
    text = digests.of_stages(data, ["summarization"], hub_data)["train"]
    parts = [path for path in text if path.startswith("hub/google/")]
    assert len(parts) == 8
    assert all(len(text[path]) == 64 for path in parts)
    digests.verify(data, hub_data)
    hublock.PATH.unlink()
    unlocked = digests.of_stages(data, ["summarization"], tmp_path)["train"]
    assert "not locked yet" in unlocked.values()
    with pytest.raises(MachineError, match="is not on this machine"):
        corpora.load(full(), ["summarization"], tmp_path)
