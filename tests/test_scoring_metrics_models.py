"""Metrics that are models: the real libraries on tiny encoders, saved as the originals are."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import sys

import bert_score
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.data import hub
from bench.errors import DataError
from bench.records import TRACKS, Generation, Sample
from bench.scoring import (
    admission,
    bertscore,
    encoded,
    hubmodels,
    metrics,
    outputs,
    score,
    sentences,
)
from bench.scoring.admission import NotRunError
from bench.scoring.metrics.embedding_similarity import embedding_similarity
from tests import tiny_encoders

SENTENCE = "Count the vowels of a text, ignoring case."
METHOD = "public int add(int a, int b) { return a + b; }"


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    # "t5" in a path makes the library's own loader take it for another architecture.
    return tiny_encoders.bert(tmp_path_factory.mktemp("scott5") / "bert")


@pytest.fixture(scope="session")
def side(tmp_path_factory):
    """The folder as the authors' drive gives it: both checkpoints, each in its step's folder."""
    root = tmp_path_factory.mktemp("side") / "Models"
    tiny_encoders.mpnet(root / "hard-negatives" / "141205", seed=1)
    tiny_encoders.mpnet(root / "baseline" / "103080", seed=2)
    return root


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """No model is anywhere, nothing is remembered, and the network is not there."""

    def refuse(*_):
        raise AssertionError("a metric went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("BENCH_BERT", "BENCH_SIDE", "BENCH_JUDGE_URL", "BENCH_JUDGE_MODEL"):
        monkeypatch.delenv(name, raising=False)
    metrics.load.cache_clear()
    sentences.load.cache_clear()
    yield
    metrics.load.cache_clear()


def pin(monkeypatch, folder):
    """Let the tiny encoder be the pinned one."""
    weights = folder / "model.safetensors"
    locked = hub.LockedFile(
        weights.stat().st_size, hashlib.sha256(weights.read_bytes()).hexdigest()
    )
    model = dataclasses.replace(hubmodels.BERT, weights=locked)
    monkeypatch.setattr(hubmodels, "BERT", model)
    return model


@pytest.fixture
def pinned(monkeypatch, bert):
    monkeypatch.setenv("BENCH_BERT", str(bert))
    return pin(monkeypatch, bert)


# ----- BERTScore -----


def test_bertscore_is_the_librarys_own(pinned, bert, tmp_path):
    predictions = [SENTENCE, "Add two numbers.", "x", "the value of a list " * 9, SENTENCE]
    references = [SENTENCE, SENTENCE, "Return the sum.", "the name of the file", "Set it."]
    rows = metrics.compute("bertscore", predictions, references)
    plain = tmp_path / "plain"
    plain.symlink_to(bert)
    _, _, expected = bert_score.score(
        predictions, references, model_type=str(plain), num_layers=3, batch_size=8, device="cpu"
    )
    assert rows.columns["bertscore"] == pytest.approx(expected.tolist(), abs=1e-5)
    assert rows.columns["bertscore"] == rows.columns["bertscore@published"]
    assert rows.columns["bertscore"][0] == pytest.approx(1.0, abs=1e-5)
    assert rows.reasons == [None] * 5


def test_blank_sides_crash_nothing_and_differ_by_variant(pinned):
    rows = metrics.compute(
        "bertscore", ["", " \n", SENTENCE, "", SENTENCE], [SENTENCE] * 2 + ["", " ", SENTENCE]
    )
    assert rows.columns["bertscore"][:4] == [0.0, 0.0, None, None]
    assert rows.columns["bertscore@published"][:4] == [None] * 4
    assert rows.columns["bertscore@published"][4] == pytest.approx(1.0, abs=1e-5)
    blank, reference = "the prediction is blank", "the reference is blank"
    assert rows.reasons == [blank, blank, reference, reference, None]


def test_only_blank_predictions_need_no_encoder(pinned):
    rows = metrics.compute("bertscore", ["", ""], [SENTENCE] * 2)
    assert rows.columns == {"bertscore": [0.0, 0.0], "bertscore@published": [None, None]}


def test_texts_of_any_length_and_script_are_scored(pinned):
    odd = ["x " * 9_999, "\u202e\u200b", "数える 文字列 😀", "\x00", "a" * 19_999]
    rows = metrics.compute("bertscore", odd, [SENTENCE] * len(odd))
    for column in rows.columns.values():
        assert all(-1 <= value <= 1 for value in column if value is not None)
    assert rows.columns["bertscore"][1] == 0.0  # it holds no word that BERT sees
    assert rows.columns["bertscore@published"][2] is not None


UNKNOWN = ["数える文字列", "Возвращает сумму"]


def test_bertscore_of_words_that_bert_does_not_know_has_a_reason(pinned):
    """They are one token for it, so that any two such texts look alike."""
    mixed = "add Ж numbers to the list"
    predictions = [*UNKNOWN, SENTENCE, UNKNOWN[0], mixed]
    rows = metrics.compute("bertscore", predictions, [*UNKNOWN, UNKNOWN[0], SENTENCE, mixed])
    assert rows.columns["bertscore"] == [None] * 4 + [pytest.approx(1.0, abs=1e-5)]
    assert None not in rows.columns["bertscore@published"]
    side = ["reference"] * 3 + ["prediction"]
    assert rows.reasons == [*(sentences.UNSEEN.format(text=text) for text in side), None]


def test_embeddings_of_words_that_the_encoder_does_not_know_have_a_reason(monkeypatch, bert):
    monkeypatch.setattr(embedding_similarity, "_encoder_folder", lambda: bert)
    metric = embedding_similarity.EmbeddingSimilarity(keep_in_memory=True)
    metric.download_and_prepare()
    found = metric.compute(
        predictions=[SENTENCE, *UNKNOWN, "", "\u200b"],
        references=[SENTENCE, UNKNOWN[0], SENTENCE, SENTENCE, SENTENCE],
    )
    equal, *unknown, empty, nothing = found["rows"]["embedding_similarity"]
    assert (equal, unknown) == (pytest.approx(1.0, abs=1e-5), [None, None])
    assert (empty, nothing) == (0.0, 0.0)
    assert [why and why.split(" is ")[0] for why in found["reasons"]] == [
        None, "most of the reference", "most of the prediction", None, None,
    ]  # fmt: skip


def test_side_of_words_that_its_encoder_does_not_know_has_a_reason(monkeypatch, side):
    monkeypatch.setenv("BENCH_SIDE", str(side))
    rows = metrics.compute("side", [UNKNOWN[0], SENTENCE, "\u200b"], codes=[METHOD, "数", METHOD])
    assert rows.columns["side"] == [None, None, 0.0]
    assert None not in rows.columns["side@published"]
    why = [sentences.UNSEEN.format(text=text) for text in ("prediction", "code")]
    assert rows.reasons == [*why, None]


def test_values_do_not_depend_on_what_else_is_scored(pinned, monkeypatch):
    pairs = [("a " * n + "list", "the list of " * (n % 5 + 1)) for n in range(1, 40)]
    together = metrics.compute("bertscore", *map(list, zip(*pairs, strict=True)))
    monkeypatch.setattr(bertscore, "PAIRS", 7)
    apart = metrics.compute("bertscore", *map(list, zip(*reversed(pairs), strict=True)))
    assert together.columns["bertscore"] == pytest.approx(
        apart.columns["bertscore"][::-1], abs=1e-5
    )


def test_all_twelve_layers_count_and_no_more(monkeypatch, tmp_path):
    deep = tiny_encoders.bert(tmp_path / "deep", layers=14)
    monkeypatch.setenv("BENCH_BERT", str(deep))
    pin(monkeypatch, deep)
    rows = metrics.compute("bertscore", ["Add two numbers."], [SENTENCE])
    _, _, expected = bert_score.score(
        ["Add two numbers."], [SENTENCE], model_type=str(deep), num_layers=12, device="cpu"
    )
    assert rows.columns["bertscore"] == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_pinned_bert_is_found_in_the_hubs_cache(monkeypatch, bert, tmp_path):
    model = pin(monkeypatch, bert)
    for name in ("google-bert/bert-base-uncased", "bert-base-uncased"):
        repository = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        snapshot = repository / "snapshots" / model.repository.revision
        assert hubmodels.located(model, None) is None
        snapshot.parent.mkdir(parents=True)
        snapshot.symlink_to(bert)
        assert hubmodels.found(["bertscore"]) == {"bertscore": model.repository.revision}
        rows = metrics.compute("bertscore", [SENTENCE], [SENTENCE])
        assert rows.columns["bertscore"] == [pytest.approx(1.0, abs=1e-5)]
        snapshot.unlink()


def test_bert_that_is_nowhere_says_how_to_get_it():
    with pytest.raises(NotRunError, match=r"not on this machine; fetch it: .*BENCH_BERT"):
        metrics.compute("bertscore", [SENTENCE], [SENTENCE])
    assert hubmodels.found(["bertscore"]) == {"bertscore": None}


def test_other_weights_are_not_bertscores(monkeypatch, bert, tmp_path, pinned):
    other = tiny_encoders.bert(tmp_path / "other", seed=5)
    monkeypatch.setenv("BENCH_BERT", str(other))
    with pytest.raises(NotRunError, match="changed: its SHA-256"):
        metrics.compute("bertscore", [SENTENCE], [SENTENCE])
    (other / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(NotRunError, match="does not hold google-bert"):
        metrics.compute("bertscore", [SENTENCE], [SENTENCE])


def test_a_checkpoint_with_a_weight_missing_is_refused(monkeypatch, tmp_path):
    folder = tiny_encoders.bert(tmp_path / "bert")
    weights = sentences_weights(folder)
    weights.pop("bert.encoder.layer.1.output.dense.weight")
    tiny_encoders.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setenv("BENCH_BERT", str(folder))
    pin(monkeypatch, folder)
    with pytest.raises(NotRunError, match=r"lacks 1 weights, first encoder\.layer\.1"):
        metrics.compute("bertscore", [SENTENCE], ["x"])


def sentences_weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


# ----- SIDE -----


def by_hand(folder, code, summary):
    """SIDE of one pair, as its authors' example computes it."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoder = transformers.AutoModel.from_pretrained(folder).eval()
    vectors = []
    for text in (code, summary):
        inputs = tokenizer(text, truncation=True, max_length=512, return_tensors="pt")
        with torch.no_grad():
            vectors.append(encoder(**inputs).last_hidden_state[0].mean(dim=0))
    return float(torch.nn.functional.cosine_similarity(*vectors, dim=0))


def test_side_is_the_cosine_of_mean_vectors_of_each_checkpoint(monkeypatch, side):
    monkeypatch.setenv("BENCH_SIDE", str(side))
    summaries, codes = [SENTENCE, "Add two numbers.", SENTENCE], [METHOD, METHOD, "int x; " * 400]
    rows = metrics.compute("side", summaries, codes=codes)
    for column, folder in {
        "side": side / "hard-negatives" / "141205",
        "side@published": side / "baseline" / "103080",
    }.items():
        expected = [by_hand(folder, *pair) for pair in zip(codes, summaries, strict=True)]
        assert rows.columns[column] == pytest.approx(expected, abs=1e-5)
    assert rows.columns["side"] != rows.columns["side@published"]
    assert rows.reasons == [None] * 3


def test_side_of_blank_and_hostile_texts(monkeypatch, side):
    monkeypatch.setenv("BENCH_SIDE", str(side))
    codes = [METHOD, " ", "x" * 30_000, "\ud800", METHOD]
    rows = metrics.compute("side", ["", SENTENCE, SENTENCE, SENTENCE, "\ud800"], codes=codes)
    assert rows.columns["side"] == [0.0, None, None, None, None]
    assert rows.columns["side@published"][0] == pytest.approx(
        by_hand(side / "baseline" / "103080", METHOD, ""), abs=1e-5
    )
    unknown, no_text = admission.NO_CODE, admission.NOT_UNICODE
    assert rows.reasons == [None, unknown, admission.TOO_LONG, no_text, no_text]


def test_one_checkpoint_fills_its_own_column(monkeypatch, side):
    for named, column in (("hard-negatives", "side"), ("baseline", "side@published")):
        monkeypatch.setenv("BENCH_SIDE", str(side / named))
        metrics.load.cache_clear()
        rows = metrics.compute("side", [SENTENCE], codes=[METHOD])
        (other,) = {"side", "side@published"} - {column}
        assert rows.columns[column][0] is not None
        assert rows.columns[other] == [None]
        assert rows.reasons[0].startswith("not run: BENCH_SIDE=")
        assert set(filter(None, hubmodels.found(["side"]).values())) == {
            hashlib.sha256(
                next((side / named).glob("*/model.safetensors")).read_bytes()
            ).hexdigest()
        }


def test_a_checkpoint_of_unknown_kind_is_side(monkeypatch, tmp_path):
    folder = tiny_encoders.mpnet(tmp_path / "my-own")
    monkeypatch.setenv("BENCH_SIDE", str(folder))
    assert hubmodels.side_folder("hard-negatives") == folder
    with pytest.raises(NotRunError, match="holds no baseline checkpoint"):
        hubmodels.side_folder("baseline")


def test_side_that_is_nowhere_says_how_to_get_it(monkeypatch, tmp_path):
    with pytest.raises(NotRunError, match=r"download its models .* BENCH_SIDE"):
        metrics.load("side")
    assert hubmodels.found(["side"]) == {"side": None, "side@published": None}
    monkeypatch.setenv("BENCH_SIDE", str(tmp_path / "nowhere"))
    with pytest.raises(NotRunError, match="holds no hard-negatives checkpoint"):
        metrics.load("side")


def test_pickled_weights_are_not_loaded(monkeypatch, tmp_path):
    folder = tiny_encoders.mpnet(tmp_path / "141205")
    weights = sentences_weights(folder)
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    monkeypatch.setenv("BENCH_SIDE", str(folder))
    with pytest.raises(NotRunError, match="as a pickle; convert them once: python -c") as caught:
        metrics.load("side")
    command = str(caught.value).partition("python -c ")[2].strip('"')
    exec(command, {})
    rows = metrics.compute("side", [SENTENCE], codes=[METHOD])
    assert rows.columns["side"] == [pytest.approx(by_hand(folder, METHOD, SENTENCE), abs=1e-5)]


def test_several_checkpoints_of_no_known_step_are_a_question(monkeypatch, tmp_path):
    for step in ("1", "2"):
        tiny_encoders.mpnet(tmp_path / "hard-negatives" / step)
    monkeypatch.setenv("BENCH_SIDE", str(tmp_path))
    with pytest.raises(NotRunError, match=r"several hard-negatives checkpoints \(1, 2\)"):
        hubmodels.side_folder("hard-negatives")
    tiny_encoders.mpnet(tmp_path / "hard-negatives" / "141205")
    assert hubmodels.side_folder("hard-negatives").name == "141205"


def test_an_encoder_with_fewer_positions_cuts_sooner(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_SIDE", str(tiny_encoders.mpnet(tmp_path / "141205", positions=64)))
    rows = metrics.compute("side", [SENTENCE] * 2, codes=["int x; " * 400, "int x; " * 500])
    first, second = rows.columns["side"]
    assert first == pytest.approx(second, abs=1e-6)


def test_truncated_weights_end_no_stage(monkeypatch, tmp_path):
    folder = tiny_encoders.mpnet(tmp_path / "141205")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    monkeypatch.setenv("BENCH_SIDE", str(folder))
    with pytest.raises(NotRunError, match="cannot be loaded"):
        metrics.compute("side", [SENTENCE], codes=[METHOD])


@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_embeddings_are_unit_vectors_whatever_stands_beside_them(side, texts):
    texts = [text for text in texts if admission.refusal(text) is None]
    folder = side / "baseline" / "103080"
    together = sentences.encode(texts, folder, 512)
    for text in texts:
        alone = sentences.encode([text], folder, 512)[text]
        assert sentences.cosine(alone, alone) == pytest.approx(1.0, abs=1e-5)
        assert together[text].tolist() == pytest.approx(alone.tolist(), abs=1e-4)


# ----- in a stage's scores, and in its key -----


@pytest.fixture
def summaries():
    """Problems of both languages, each with a summary that says what the reference says."""
    problems = [Sample(f"add@{track}", track, {"code": METHOD}, SENTENCE) for track in TRACKS[2:4]]
    written = [
        Generation(
            one.id,
            "embedded",
            one.track.task,
            one.track.language,
            "",
            1,
            1,
            "stop",
            SENTENCE,
            SENTENCE,
        )
        for one in problems
    ]
    return {"embedded": problems}, written


OPTIONS = score.Options(dict.fromkeys(TRACKS, "embedded"), ("bertscore", "side"))


def test_scores_of_summaries_have_the_columns_a_study_asks_for(
    monkeypatch, side, pinned, summaries
):
    monkeypatch.setenv("BENCH_SIDE", str(side))
    found = score.score(*summaries, None, options=OPTIONS)
    assert found.metrics["summarization/python/bertscore"] == pytest.approx(1.0, abs=1e-5)
    assert "summarization/python/side" not in found.metrics  # SIDE knows Java alone
    assert found.metrics["summarization/java/side"] is not None
    assert found.metrics["summarization/java/side@published"] is not None
    assert found.metrics["summarization/java/bertscore@published"] is not None
    none = score.Options(dict.fromkeys(TRACKS, "embedded"))
    assert not any(
        "bertscore" in key or "side" in key
        for key in score.score(*summaries, None, options=none).metrics
    )


def embed(summaries, path):
    """What the stage embed leaves and the stage score takes."""
    found = encoded.measure(OPTIONS.metrics, outputs.paired(*summaries), None)
    encoded.write(found, path)
    return dataclasses.replace(OPTIONS, encoded=encoded.read(path))


def test_values_that_were_measured_before_are_the_same(
    monkeypatch, side, pinned, summaries, tmp_path
):
    monkeypatch.setenv("BENCH_SIDE", str(side))
    long = dataclasses.replace(summaries[1][0], output="x" * (admission.MAX_CHARACTERS + 1))
    summaries = summaries[0], [long, summaries[1][1]]
    direct = score.score(*summaries, None, options=OPTIONS)
    options = embed(summaries, tmp_path / "encoded.json")
    monkeypatch.delenv("BENCH_SIDE")
    monkeypatch.delenv("BENCH_BERT")  # nothing is left to measure them with
    taken = score.score(*summaries, None, options=options)
    assert taken.metrics == direct.metrics
    assert taken.notes == direct.notes
    assert taken.metrics["summarization/java/side"] is not None
    assert admission.TOO_LONG in taken.notes["summarization/python/bertscore"]


def test_why_an_encoder_did_not_run_is_told_by_the_scores(summaries, tmp_path):
    found = score.score(*summaries, None, options=embed(summaries, tmp_path / "encoded.json"))
    assert found.metrics["summarization/python/bertscore"] is None
    assert "is not on this machine" in found.notes["summarization/python/bertscore"]
    assert "BENCH_SIDE" in found.notes["summarization/java/side@published"]


def test_values_of_other_outputs_are_refused(pinned, summaries, tmp_path):
    options = embed(summaries, tmp_path / "encoded.json")
    problems, written = summaries
    fewer = {"embedded": problems["embedded"][:1]}, written[:1]
    with pytest.raises(DataError, match="are of other outputs"):
        score.score(*fewer, None, options=options)


def test_what_is_not_asked_for_is_not_in_the_key():
    assert hubmodels.found([]) == {}
    assert hubmodels.found(["pmd", "judge"]) == {}


def test_a_plan_knows_what_there_is_without_torch(side):
    code = (
        "import sys, json; from bench.scoring import hubmodels;"
        "print(json.dumps(hubmodels.found(['bertscore', 'side'])));"
        "assert not {'torch', 'transformers', 'openai', 'evaluate'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "BENCH_SIDE": str(side)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert set(found) == {"bertscore", "side", "side@published"}
    assert len(found["side"]) == 64


def test_the_pin_is_the_manifests():
    repository = hubmodels.BERT.repository
    assert repository.revision is not None
    assert "model.safetensors" in repository.files
    assert "bertscore" in repository.metrics
