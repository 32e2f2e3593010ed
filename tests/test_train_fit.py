"""Training: what is trained, isolated, repeatable, resumable, stopped and counted as it says."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import bitsandbytes
import numpy as np
import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from transformers import Trainer

from bench.errors import BenchError
from bench.grid import study
from bench.records import Tokens
from bench.train import bases, fit, loss, methods
from tests.tiny_model import BASE, documents, model, random_base, rows, tokenizer

__all__ = ["random_base"]  # a fixture

QLORA, FULL = "mt-qlora", "mt-fft"
PROJECTIONS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def protocol(stop=2, **changes):
    """The smoke protocol for a few short rows; ``stop``: evaluate every so many steps."""
    smoke = study.load("smoke").training
    step = {"rows_per_step": 4, "rows_per_micro_batch": 2, "warmup_steps": 1, "epochs": 2}
    parts = {name: getattr(smoke, name).model_copy(update=step) for name in ("qlora", "full")}
    stopping = study.EarlyStopping(every_steps=stop, patience=9, threshold=0.0) if stop else None
    return smoke.model_copy(
        update={**parts, "row_tokens": 64, "early_stopping": stopping} | changes
    )


def with_rate(training, rate, epochs=2):
    update = {"learning_rate": rate, "epochs": epochs}
    parts = {name: getattr(training, name).model_copy(update=update) for name in ("qlora", "full")}
    return training.model_copy(update=parts)


@pytest.fixture(scope="module")
def packed():
    return {"train": rows(30), "valid": rows(6, first=40)}


@pytest.fixture(scope="module")
def trained(random_base, packed):
    """Trains a freshly loaded base; the trainers that did it are kept in ``trainers``."""

    class Kept(Trainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            run.trainers.append(self)

    def run(work, method, training=None, progress=None, rows=packed, seed=42, **options):
        base, tokens = bases.load(random_base, methods.quantizes(method), "cpu")
        return fit.train(
            base, tokens, rows, training or protocol(), method, seed, work, progress, **options
        )

    run.trainers = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "Trainer", Kept)
        yield run


class Done(NamedTuple):
    """A training that the tests only look at."""

    work: Path
    result: fit.FitResult
    trainer: Trainer


def _done(trained, tmp_path_factory, method):
    work = tmp_path_factory.mktemp(method)
    return Done(work, trained(work, method), trained.trainers[-1])


@pytest.fixture(scope="module")
def adapted(trained, tmp_path_factory):
    return _done(trained, tmp_path_factory, QLORA)


@pytest.fixture(scope="module")
def tuned(trained, tmp_path_factory):
    return _done(trained, tmp_path_factory, FULL)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


# documents of a row


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def isolation(request):
    """A model, a batch of packed rows without labels, and each document's own logits."""
    causal = model(attention=request.param)
    batch = fit.collate(list(fit.Rows(rows(7))))
    del batch["labels"]
    alone = {}
    with torch.no_grad():
        for document in documents(7):
            ids = torch.from_numpy(document.tokens).long()
            alone[tuple(ids.tolist())] = causal(ids[None]).logits[0]
    return causal, batch, alone


def leak(isolation, **changes):
    """The largest difference between a document's logits in its row and by itself."""
    causal, batch, alone = isolation
    batch = {name: value for name, value in (batch | changes).items() if value is not None}
    with torch.no_grad():
        logits = causal(**batch).logits
    worst, seen = 0.0, 0
    for row, positions in enumerate(batch["position_ids"]):
        edges = [*torch.nonzero(positions == 0).flatten().tolist(), len(positions)]
        for start, end in itertools.pairwise(edges):
            own = alone.get(tuple(batch["input_ids"][row, start:end].tolist()))
            if own is not None:
                seen += 1
                worst = max(worst, (logits[row, start:end] - own).abs().max().item())
    assert seen == len(alone) > len(batch["input_ids"]), "every document, several in a row"
    return worst


def test_a_document_of_a_row_sees_itself_alone(isolation):
    assert leak(isolation) <= 1e-5


def test_the_guard_fails_on_an_all_ones_mask(isolation):
    assert leak(isolation, attention_mask=torch.ones_like(isolation[1]["input_ids"])) > 0.1


def test_the_guard_fails_on_the_default_cache(isolation):
    assert leak(isolation, use_cache=None) > 0.1


def test_the_loss_of_a_row_is_that_of_its_documents():
    causal = model()
    loss.install(causal)
    batch = fit.collate(list(fit.Rows(rows(7))))
    alone = [torch.from_numpy(one.tokens).long()[None] for one in documents(7)]
    total = sum(causal(input_ids=ids, labels=ids, num_items_in_batch=1).loss for ids in alone)
    assert causal(**batch, num_items_in_batch=1).loss.item() == pytest.approx(total.item(), 1e-5)


# what is trained


def test_lora_sits_on_the_seven_projections_of_every_layer(random_base):
    base, _ = bases.load(random_base, True, "cpu")
    wrapped = methods.prepare(base, protocol(), QLORA, 42)
    layers = {n: m for n, m in wrapped.named_modules() if isinstance(m, LoraLayer)}
    found = {(int(name.split(".layers.")[1].split(".")[0]), name.split(".")[-1]) for name in layers}
    assert found == set(itertools.product(range(BASE.layers), PROJECTIONS))
    assert len(layers) == 7 * BASE.layers
    for layer in layers.values():
        assert (layer.r["default"], layer.lora_alpha["default"]) == (8, 16)
        assert layer.scaling["default"] == 2
        assert layer.lora_dropout["default"].p == 0.1
        assert not layer.lora_B["default"].weight.any()
    open_ = {name for name, one in wrapped.named_parameters() if one.requires_grad}
    assert len(open_) == 2 * len(layers)
    assert all(".lora_A." in name or ".lora_B." in name for name in open_)


def test_only_lora_is_trained_and_saved(adapted, random_base):
    saved = load_file(adapted.work / "model" / "adapter_model.safetensors")
    assert len(saved) == 2 * 7 * BASE.layers
    assert all(name.endswith(("lora_A.weight", "lora_B.weight")) for name in saved)
    assert all(one.any() for one in saved.values())
    before = dict(bases.load(random_base, True, "cpu")[0].named_parameters())
    after = fit.inner(adapted.trainer.model).state_dict()
    for name, weight in before.items():
        parent, _, leaf = name.rpartition(".")
        inside = f"{parent}.base_layer.{leaf}"
        assert torch.equal(after[inside if inside in after else name], weight)


def test_the_adapter_loads_on_its_base(adapted, random_base):
    base, _ = bases.load(random_base, True, "cpu")
    loaded = PeftModel.from_pretrained(base, adapted.work / "model").state_dict()
    kept = adapted.trainer.model.state_dict()
    assert loaded.keys() == kept.keys()
    assert all(torch.equal(weight, kept[name]) for name, weight in loaded.items())


def test_full_fine_tuning_trains_and_saves_everything(tuned, random_base):
    before = load_file(random_base / "model.safetensors")
    after = load_file(tuned.work / "model" / "model.safetensors")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in before if "norm" not in name} <= moved
    loaded, tokens = bases.load(tuned.work / "model", False, "cpu")
    assert torch.equal(loaded.get_input_embeddings().weight, after["model.embed_tokens.weight"])
    assert tokens.get_vocab() == tokenizer().get_vocab()


def test_qlora_is_optimised_by_adamw_in_8_bits(adapted):
    optimizer = getattr(adapted.trainer.optimizer, "optimizer", adapted.trainer.optimizer)
    assert isinstance(optimizer, bitsandbytes.optim.AdamW)
    assert optimizer.args.optim_bits == 8
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    assert len(parameters) == 2 * 7 * BASE.layers
    # Its own rule: matrices of less than 4,096 weights keep full states.
    states = {one.numel() >= 4096: optimizer.state[one]["state1"].dtype for one in parameters}
    assert states == {True: torch.uint8, False: torch.float32}


def test_full_fine_tuning_is_optimised_by_torchs_adamw(tuned):
    optimizer = getattr(tuned.trainer.optimizer, "optimizer", tuned.trainer.optimizer)
    assert type(optimizer) is torch.optim.AdamW


# repeat and resume


@pytest.mark.parametrize("method", [QLORA, FULL])
def test_two_trainings_leave_the_same_files_wherever_they_lie(
    trained, adapted, tuned, tmp_path, method
):
    done = adapted if method == QLORA else tuned
    work = tmp_path / "another" / "place"
    assert trained(work, method) == done.result
    assert digests(work / "model") == digests(done.work / "model")
    assert not (work / "checkpoints").exists()


def test_an_adapter_names_no_place(adapted, random_base):
    folder = adapted.work / "model"
    assert set(digests(folder)) == {"adapter_config.json", "adapter_model.safetensors"}
    text = (folder / "adapter_config.json").read_text()
    assert str(random_base) not in text
    config = json.loads(text)
    assert config["base_model_name_or_path"] == "base"
    assert config["target_modules"] == sorted(PROJECTIONS)


def test_another_seed_gives_another_adapter(trained, adapted, tmp_path):
    trained(tmp_path, QLORA, seed=1)
    weights = "adapter_model.safetensors"
    assert digests(tmp_path / "model")[weights] != digests(adapted.work / "model")[weights]


class Interrupted(Exception):
    pass


def interrupt_at(step):
    def progress(done, total):
        if done == step:
            raise Interrupted

    return progress


def tear(checkpoint):
    """What a kill leaves of a checkpoint: half of it."""
    (checkpoint / "complete").unlink()
    (checkpoint / "trainer_state.json").write_text("{")


@pytest.fixture(scope="module", params=[(QLORA, 2), (FULL, 2), (QLORA, None)], ids=str)
def kind(request):
    """A method, and every how many steps it evaluates (None: a checkpoint per epoch)."""
    return request.param


def test_an_interrupted_training_ends_as_an_undisturbed_one(trained, packed, tmp_path, kind):
    method, stop = kind
    per_epoch = -(-len(packed["train"]) // 4)
    training = with_rate(protocol(stop), 3e-3, epochs=3)
    expected = trained(tmp_path / "whole", method, training)
    assert expected.steps == 3 * per_epoch > 2 * (stop or per_epoch) + 1
    work = tmp_path / "work"
    with pytest.raises(Interrupted):
        trained(work, method, training, interrupt_at(2 * (stop or per_epoch) + 1))
    last = fit.last_checkpoint(work / "checkpoints")
    assert last.name == f"checkpoint-{2 * (stop or per_epoch)}"
    # What a killed stage leaves may be continued in another folder.
    moved = tmp_path / "moved" / "work"
    shutil.copytree(work, moved)
    tear(moved / "checkpoints" / last.name)
    for place in (work, moved):
        seen = []
        found = trained(place, method, training, lambda done, _, seen=seen: seen.append(done))
        assert seen[0] == (2 if place is work else 1) * (stop or per_epoch) + 1
        assert found == expected
        assert digests(place / "model") == digests(tmp_path / "whole" / "model")


def test_torn_checkpoints_are_dropped(tmp_path):
    assert fit.last_checkpoint(tmp_path / "none") is None
    for step in (8, 10, 12):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "complete").touch()
        state = {"best_model_checkpoint": "elsewhere/checkpoint-8", "global_step": step}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    tear(tmp_path / "checkpoint-12")
    assert fit.last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert not (tmp_path / "checkpoint-12").exists()
    state = json.loads((tmp_path / "checkpoint-10" / "trainer_state.json").read_text())
    assert state["best_model_checkpoint"] == str(tmp_path / "checkpoint-8")
    for step in (8, 10):
        (tmp_path / f"checkpoint-{step}" / "complete").unlink()
    assert fit.last_checkpoint(tmp_path) is None


# early stopping and evaluation


def hopeless(patience=2):
    """Validation that gets worse with every step: early stopping must see it."""
    training = with_rate(protocol(), 0.05, epochs=10)
    stopping = study.EarlyStopping(every_steps=1, patience=patience, threshold=0.001)
    return training.model_copy(update={"early_stopping": stopping})


@pytest.fixture(scope="module")
def unlike(packed):
    """Validation rows that training on the others makes worse: the words in another order."""
    other = rows(6, first=40)
    order = np.random.default_rng(0).permutation(other.input_ids.shape[1])
    ids = other.input_ids[:, order]
    return {"train": packed["train"], "valid": type(other)(
        ids, np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape).copy(), ids,
        other.tokens, other.documents, 0, 0,
    )}  # fmt: skip


def test_early_stopping_keeps_the_weights_of_the_best_step(trained, unlike, tmp_path):
    result = trained(tmp_path / "whole", QLORA, hopeless(), rows=unlike)
    valid = {point.step: point.valid for point in result.losses if point.valid is not None}
    assert result.stopped_early
    assert result.best_step == min(valid, key=valid.get)
    assert result.steps == result.best_step + 2 == max(valid)
    with pytest.raises(Interrupted):
        trained(tmp_path, QLORA, hopeless(), interrupt_at(result.best_step + 1), rows=unlike)
    best = tmp_path / "checkpoints" / f"checkpoint-{result.best_step}"
    weights = "adapter_model.safetensors"
    assert digests(best)[weights] == digests(tmp_path / "whole" / "model")[weights]


def test_the_last_step_is_a_candidate_too(trained, tmp_path):
    result = trained(tmp_path, QLORA, protocol(stop=3))
    valid = [point.step for point in result.losses if point.valid is not None]
    assert result.steps % 3
    assert valid[-1] == result.steps
    assert not result.stopped_early


@pytest.mark.parametrize("metric", ["loss", "similarity"])
def test_evaluation_keeps_no_logits(trained, packed, tmp_path, monkeypatch, metric):
    seen = []

    def similarity(predictions, labels):
        seen.append((predictions, labels))
        return float(len(seen))

    stopping = study.EarlyStopping(every_steps=2, patience=9, threshold=0, metric=metric)
    options = {"similarity": similarity} if metric == "similarity" else {}
    result = trained(tmp_path, QLORA, protocol(early_stopping=stopping), **options)
    if metric == "loss":
        assert trained.trainers[-1].args.prediction_loss_only
        assert not seen
        return
    valid = packed["valid"]
    for predictions, labels in seen:
        assert predictions.shape == valid.input_ids.shape
        assert np.issubdtype(predictions.dtype, np.integer)
        assert (labels == valid.labels).all()
        # A prediction stands wherever a target follows, and nowhere else.
        assert ((predictions != -100)[:, :-1] == (labels != -100)[:, 1:]).all()
    assert result.best_step == result.steps, "the similarity grew to the end"


@pytest.mark.parametrize("name", ["activation_checkpointing", "gradient_checkpointing"])
def test_checkpointing_is_asked_for_by_the_name_that_transformers_has(monkeypatch, name):
    known = dataclasses.make_dataclass("Arguments", [name, f"{name}_kwargs"])
    monkeypatch.setattr(fit, "TrainingArguments", known)
    assert fit._checkpointing(enabled=True) == {
        name: True,
        f"{name}_kwargs": {"use_reentrant": False},
    }


def test_checkpointing_changes_no_gradient(trained, tmp_path):
    """Full fine-tuning as published computes activations again in backward."""
    training = protocol(None)
    again = training.full.model_copy(update={"gradient_checkpointing": True})
    changed = training.model_copy(update={"full": again})
    plain, checkpointed = (
        trained(tmp_path / name, FULL, one)
        for name, one in (("plain", training), ("again", changed))
    )
    assert trained.trainers[-1].model.is_gradient_checkpointing
    assert plain == checkpointed
    assert digests(tmp_path / "plain" / "model") == digests(tmp_path / "again" / "model")


# counts, packings, errors


@pytest.mark.parametrize("mode", ["published", "isolated"])
@pytest.mark.parametrize("method", [QLORA, FULL])
def test_both_packings_train_and_count_their_tokens(trained, tmp_path, mode, method):
    packed = {"train": rows(30, mode)}
    training = with_rate(protocol(None, packing=mode), 3e-3, epochs=3)
    steps = []
    result = trained(
        tmp_path, method, training, lambda done, total: steps.append((done, total)), packed
    )
    one = packed["train"].tokens
    assert result.tokens == Tokens(one.processed * 3, one.real * 3, one.trained * 3)
    assert steps == [(n + 1, result.steps) for n in range(result.steps)]
    assert result.steps == 3 * -(-len(packed["train"]) // 4)
    assert (result.best_step, result.stopped_early) == (result.steps, False)
    losses = [point.train for point in result.losses if point.train is not None]
    assert losses[-1] < losses[0]


def test_an_epoch_that_was_cut_short_counts_by_its_rows(trained, unlike, tmp_path):
    result = trained(tmp_path, QLORA, hopeless(), rows=unlike)
    train = unlike["train"]
    assert result.steps % -(-len(train) // 4), "the stop lies within an epoch"
    epochs, rest = divmod(result.steps, -(-len(train) // 4))
    assert result.tokens.processed == (epochs * len(train) + rest * 4) * 64


def test_early_stopping_needs_something_to_watch(trained, packed, tmp_path):
    with pytest.raises(BenchError, match="without validation rows"):
        trained(tmp_path, QLORA, rows={"train": packed["train"]})
    stopping = study.EarlyStopping(every_steps=2, patience=1, threshold=0, metric="similarity")
    with pytest.raises(BenchError, match="without a metric"):
        trained(tmp_path, QLORA, protocol(early_stopping=stopping))


@pytest.mark.parametrize("method", [QLORA, FULL])
def test_a_loss_that_is_not_a_number_ends_the_training(random_base, packed, tmp_path, method):
    base, tokens = bases.load(random_base, methods.quantizes(method), "cpu")
    base.model.norm.weight.data.fill_(float("nan"))
    with pytest.raises(BenchError, match="diverged: loss is nan at step"):
        fit.train(base, tokens, packed, protocol(), method, 42, tmp_path)
    assert not (tmp_path / "model").exists()


def test_rows_per_step_must_divide(trained, tmp_path):
    training = protocol()
    odd = training.qlora.model_copy(update={"rows_per_micro_batch": 3})
    with pytest.raises(BenchError, match="no multiple"):
        trained(tmp_path, QLORA, training.model_copy(update={"qlora": odd}))


def test_no_such_method():
    with pytest.raises(BenchError, match="mt-qlora"):
        methods.quantizes("mt-qlra")
