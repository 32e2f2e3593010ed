"""Training with ``transformers.Trainer`` on packed rows: resumable and repeatable.

The Trainer brings schedules, accumulation, mixed precision and checkpoints; rows
(``bench.data.packing``), batches (``bench.train.batches``), loss (``bench.train.loss``) and
what is trained (``bench.train.methods``) are ours.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from bench.data.packing import PackedRows
from bench.errors import BenchError
from bench.grid import batching
from bench.grid.batching import Setting
from bench.grid.study import Training
from bench.records import Tokens
from bench.train import (
    attention,
    batches,
    checkpoints,
    clock,
    graphs,
    kernels,
    loss,
    methods,
    placement,
)
from bench.train.batches import Rows, collate, collate_joined
from bench.train.clock import StepClock, Timing

Progress = Callable[[int, int], None]
#: The study's validation score (``bench.train.similarity``): arg-max ids and labels to 0..100.
Similarity = Callable[[Any, Any], float]

#: Written into a checkpoint when the Trainer has finished it; without it, it is torn.
_COMPLETE = "complete"
#: What an adapter calls its base: which one it is, the study says.
_BASE = "base"
#: Rows that are evaluated at once on a GPU: nothing is kept for a backward pass.
_EVALUATED_ROWS = 32


@dataclasses.dataclass(frozen=True, slots=True)
class LossPoint:
    """Training loss (mean since the last point) or validation loss after ``step`` steps.

    ``similarity`` of the validation rows, 0 to 100, where early stopping watches it.
    """

    step: int
    train: float | None
    valid: float | None
    similarity: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class FitResult:
    """What a training did. ``best_step`` is the step whose weights were kept.

    Two results are equal if they trained the same, however long it took.
    """

    tokens: Tokens
    losses: tuple[LossPoint, ...]
    best_step: int
    stopped_early: bool
    steps: int
    timing: Timing = dataclasses.field(compare=False)


def train(
    model: Any,
    tokenizer: Any,
    rows: Mapping[str, PackedRows],
    training: Training,
    method: str,
    seed: int,
    work: Path,
    on_progress: Progress | None = None,
    similarity: Similarity | None = None,
    setting: Setting | None = None,
    checkpoint_minutes: float = 15.0,
    *,
    keep: bool = True,
) -> FitResult:
    """Train ``model`` (as ``bases.load`` gives it) and save the result in ``work/model``.

    Checkpoints go to ``work/checkpoints``; where there are some, the training continues
    from the last complete one and ends with the weights of an undisturbed run. They are
    removed once ``work/model`` is in place: a PEFT adapter for QLoRA, otherwise full
    safetensors with the tokenizer.

    Args:
        model: a causal language model; it is changed in place.
        tokenizer: its tokenizer.
        rows: ``train``, and ``valid`` where the training stops early.
        training: the protocol.
        method: ``st-qlora``, ``mt-qlora`` or ``mt-fft``.
        seed: of LoRA's initial weights, dropout and the order of the rows.
        work: the model's folder.
        on_progress: called with (steps done, steps in all) after every optimizer step.
        similarity: needed where early stopping watches ``similarity``.
        setting: the micro-batch, where the study leaves it open; None: the study's own.
        checkpoint_minutes: how often to keep what there is, beside the protocol's checkpoints.
        keep: False where only the cost of the training counts: nothing is saved.

    Raises:
        Stopped: the process was asked to end; the step's checkpoint is complete.
        BenchError: several devices are visible; early stopping without validation rows or
            without its metric.
    """
    stopping = training.early_stopping
    if stopping is not None and "valid" not in rows:
        raise BenchError("early stopping without validation rows", hint="pack a valid split")
    if stopping is not None and stopping.metric == "similarity" and similarity is None:
        raise BenchError("early stopping by similarity without a metric", hint="pass one")
    trainer, last = assemble(
        model,
        tokenizer,
        rows,
        training,
        method,
        seed,
        work,
        on_progress,
        similarity,
        setting,
        checkpoint_minutes,
    )
    if not keep:
        trainer.args.set_save("no")
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    if keep:
        with clock.of(trainer).span("save"):
            _save(trainer.model, tokenizer, work / "model", full=not methods.quantizes(method))
    result = _result(trainer, rows["train"])
    shutil.rmtree(work / "checkpoints", ignore_errors=True)
    return result


def assemble(
    model: Any,
    tokenizer: Any,
    rows: Mapping[str, PackedRows],
    training: Training,
    method: str,
    seed: int,
    work: Path,
    on_progress: Progress | None = None,
    similarity: Similarity | None = None,
    setting: Setting | None = None,
    checkpoint_minutes: float = 15.0,
) -> tuple[Trainer, Path | None]:
    """The Trainer of ``train``, and the checkpoint from which it goes on."""
    chosen, tuned = methods.optimization(training, method), training.plan == "tuned"
    if setting is None:
        setting = batching.published(chosen, full=not methods.quantizes(method))
    device = model.get_input_embeddings().weight.device
    joined = tuned and training.packing == "isolated" and attention.available(device)
    if joined and similarity is not None:
        joined = False  # it reads the predictions row by row
    placement.require_one_device()
    deterministic(seed)
    model = methods.prepare(model, training, method, seed, checkpointing=setting.checkpointing)
    if joined:
        attention.install(inner(model))
    kernels.install(inner(model), training.kernels)
    if tuned:
        loss.install(inner(model))
    one_shape = graphs.serve(training, setting, device, quantizes=methods.quantizes(method))
    if one_shape:
        graphs.install(inner(model))
    collator = collate_joined if joined else collate
    if one_shape:
        collator = functools.partial(collate, fill_to=setting.rows)
    kept = work / "checkpoints"
    last = last_checkpoint(kept)
    stopping = training.early_stopping
    trainer = Trainer(
        model=model,
        args=arguments(training, method, seed, kept, model, setting),
        train_dataset=Rows(rows["train"]),
        eval_dataset=Rows(rows["valid"]) if stopping else None,
        data_collator=collator,
        processing_class=tokenizer,
        compute_metrics=_metrics(similarity, logits=not tuned) if similarity else None,
        callbacks=_callbacks(training, on_progress, checkpoint_minutes),
    )
    placement.require_one_device(trainer.args.n_gpu)
    trainer.remove_callback(PrinterCallback)
    return trainer, last


def deterministic(seed: int) -> None:
    """Seed every generator and ask for repeatable kernels.

    On a GPU kernels without a repeatable form warn instead of failing: bitsandbytes has
    some, and claims there need several seeds anyway.
    """
    set_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    # Filling fresh memory guards against reading it unwritten, at a price per operation.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def inner(model: Any) -> Any:
    """The causal language model inside a PEFT wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def arguments(
    training: Training,
    method: str,
    seed: int,
    folder: Path,
    model: Any,
    setting: Setting,
) -> TrainingArguments:
    """The Trainer's arguments for one training; precision and device follow the model.

    A bf16 model, or one whose unquantised weights are fp16, trains under bf16 autocast with
    its trainable weights as they are (LoRA fp32, full fine-tuning bf16: protocol, "In
    fact"), a fp32 model in fp32.

    Raises:
        BenchError: rows per step that are no multiple of the micro-batch.
    """
    chosen, stopping = methods.optimization(training, method), training.early_stopping
    if chosen.rows_per_step % setting.rows:
        raise BenchError(
            f"rows_per_step {chosen.rows_per_step} is no multiple of rows_per_micro_batch "
            f"{setting.rows}",
            hint="change one of them in the study",
        )
    weights = inner(model).get_input_embeddings().weight
    gpu = weights.device.type != "cpu"
    metric = stopping.metric if stopping else "loss"
    when = (
        {"eval_strategy": "steps", "save_strategy": "steps"}
        | {"eval_steps": stopping.every_steps, "save_steps": stopping.every_steps}
        | {"load_best_model_at_end": True, "greater_is_better": metric != "loss"}
        | {"metric_for_best_model": f"eval_{metric}", "prediction_loss_only": metric == "loss"}
        if stopping
        else {"eval_strategy": "no", "save_strategy": "epoch"}
    )
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=setting.rows,
        per_device_eval_batch_size=(
            max(setting.rows, _EVALUATED_ROWS) if gpu and training.plan == "tuned" else setting.rows
        ),
        gradient_accumulation_steps=setting.accumulation(chosen.rows_per_step),
        learning_rate=chosen.learning_rate,
        lr_scheduler_type=chosen.scheduler,
        warmup_steps=chosen.warmup_steps,
        num_train_epochs=chosen.epochs,
        max_steps=chosen.max_steps or -1,
        optim=chosen.optimizer,
        weight_decay=chosen.weight_decay,
        max_grad_norm=chosen.max_grad_norm,
        bf16=weights.dtype in (torch.bfloat16, torch.float16),
        use_cpu=not gpu,
        seed=seed,
        data_seed=seed,
        logging_steps=5,
        logging_nan_inf_filter=False,  # it would write a loss that is not a number as 0
        save_total_limit=2,
        restore_callback_states_from_checkpoint=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=gpu,
        accelerator_config={"non_blocking": gpu},
        disable_tqdm=True,
        report_to="none",
        **_checkpointing(enabled=setting.checkpointing),
        **when,
    )


def _checkpointing(*, enabled: bool) -> dict[str, Any]:
    """The arguments that compute activations again in backward: transformers 5.23 renamed them."""
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    name = "activation_checkpointing"
    if name not in known:
        name = "gradient_checkpointing"
    return {name: enabled, f"{name}_kwargs": {"use_reentrant": False}}


class _Diverged(TrainerCallback):  # type: ignore[misc]
    """Ends a training whose loss is not a number: nothing that follows would mean anything."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        for name in ("loss", "eval_loss"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise BenchError(
                    f"the training diverged: {name} is {value} at step {state.global_step}",
                    hint="lower the study's learning_rate, or look at its data",
                )


class _Mark(TrainerCallback):  # type: ignore[misc]
    """Marks finished checkpoints and tells the progress."""

    def __init__(self, on_progress: Progress | None) -> None:
        self.on_progress = on_progress

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _COMPLETE).touch()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # The last step is a candidate too; older Trainers look at full intervals only.
        if state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = control.should_save = True
        self._log_what_is_saved(control)
        if self.on_progress is not None:
            self.on_progress(state.global_step, state.max_steps)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._log_what_is_saved(control)

    def _log_what_is_saved(self, control: Any) -> None:
        # No checkpoint holds the running mean of the loss: a mean that ends where a checkpoint
        # is made is the same after a resume.
        control.should_log = control.should_log or control.should_save


def _callbacks(
    training: Training, on_progress: Progress | None, checkpoint_minutes: float
) -> list[TrainerCallback]:
    stopping = training.early_stopping
    early = [EarlyStoppingCallback(stopping.patience, stopping.threshold)] if stopping else []
    keeper = checkpoints.Keeper(checkpoint_minutes)
    # The keeper behind what marks a checkpoint; the clock last: it reads the final decisions.
    return [*early, _Diverged(), _Mark(on_progress), keeper, StepClock()]


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of a folder; torn ones are removed.

    The Trainer notes the best checkpoint with its full path: it is set right here, so that
    a results folder may have been moved in between.
    """
    if not folder.is_dir():
        return None
    steps: dict[int, Path] = {}
    for path in folder.glob("checkpoint-*"):
        if (path / _COMPLETE).is_file():
            steps[int(path.name.rpartition("-")[2])] = path
        else:
            shutil.rmtree(path)
    if not steps:
        return None
    last = steps[max(steps)]
    state_file = last / "trainer_state.json"
    state = json.loads(state_file.read_text())
    if state.get("best_model_checkpoint"):
        best = folder / Path(state["best_model_checkpoint"]).name
        if str(best) != state["best_model_checkpoint"]:
            state["best_model_checkpoint"] = str(best)
            state_file.write_text(json.dumps(state, indent=2, sort_keys=True))
    return last


def _metrics(similarity: Similarity, *, logits: bool) -> Callable[[Any], dict[str, float]]:
    """The Trainer's metric from arg-max ids ``[rows, row_tokens]``, or as published of logits."""

    def compute(prediction: Any) -> dict[str, float]:
        ids = prediction.predictions
        if logits:
            ids = batches.predicted(ids, prediction.label_ids)
        return {"similarity": similarity(ids, prediction.label_ids)}

    return compute


def _save(model: Any, tokenizer: Any, target: Path, *, full: bool) -> None:
    """Save into a temporary folder beside ``target`` and put it in place at once."""
    draft = target.with_name(target.name + ".partial")
    shutil.rmtree(draft, ignore_errors=True)
    model.save_pretrained(draft)
    if full:
        tokenizer.save_pretrained(draft)
    else:
        _tidy_adapter(draft)
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)


def _tidy_adapter(folder: Path) -> None:
    """Rid an adapter of what differs between machines and processes, not between adapters.

    PEFT notes the base's absolute path, lists the targets in the order of a set, and adds a
    model card that says nothing.
    """
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = _BASE
    config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (folder / "README.md").unlink(missing_ok=True)


def _result(trainer: Trainer, rows: PackedRows) -> FitResult:
    state = trainer.state
    points = tuple(
        LossPoint(
            entry["step"],
            entry.get("loss"),
            entry.get("eval_loss"),
            entry.get("eval_similarity"),
        )
        for entry in state.log_history
        if "loss" in entry or "eval_loss" in entry
    )
    stopped = state.global_step < state.max_steps
    best = state.best_global_step if trainer.args.load_best_model_at_end else None
    joined = trainer.data_collator is collate_joined
    if joined:  # what was left out of the batches was not computed
        processed = batches.joined_tokens(rows)
        rows = dataclasses.replace(
            rows, tokens=dataclasses.replace(rows.tokens, processed=processed)
        )
    tokens = _seen(rows, trainer.args, state.global_step)
    return FitResult(
        tokens=tokens,
        losses=points,
        best_step=best or state.global_step,
        stopped_early=stopped,
        steps=state.global_step,
        timing=clock.of(trainer).timing(tokens, state.global_step),
    )


def _seen(rows: PackedRows, args: TrainingArguments, steps: int) -> Tokens:
    """Tokens of the rows that ``steps`` optimizer steps went through.

    Exact after whole epochs; an epoch that early stopping cut short counts by its share
    of rows.
    """
    per_step = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    whole, rest = divmod(steps, -(-len(rows) // per_step))
    share = whole + min(1.0, rest * per_step / len(rows))
    parts = (rows.tokens.processed, rows.tokens.real, rows.tokens.trained)
    return Tokens(*(round(part * share) for part in parts))
