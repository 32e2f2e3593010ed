"""The chunked loss is the stock loss, in value and gradients, without the stock's logits."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from bench.train import loss
from tests.tiny_model import BASE, model


@st.composite
def batches(draw):
    """Hidden states, a head, labels (some ignored, perhaps all) and a chunk size."""
    batch, time = draw(st.integers(1, 3)), draw(st.integers(2, 17))
    width, vocabulary = draw(st.integers(1, 9)), draw(st.integers(2, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    hidden = torch.randn(batch, time, width, generator=generator) * 3
    head = torch.randn(vocabulary, width, generator=generator)
    labels = torch.randint(vocabulary, (batch, time), generator=generator)
    ignored = torch.rand(batch, time, generator=generator) < draw(st.sampled_from([0, 0.5, 1]))
    return hidden, head, labels.masked_fill(ignored, loss.IGNORED), draw(st.integers(1, 60))


def stock(hidden, head, labels):
    """Torch's own summed loss over all positions, the labels shifted."""
    logits = (hidden @ head.T)[:, :-1].reshape(-1, head.shape[0])
    return torch.nn.functional.cross_entropy(
        logits, labels[:, 1:].reshape(-1), ignore_index=loss.IGNORED, reduction="sum"
    )


def chunked(hidden, head, labels, chunk_rows):
    chosen = loss.select(hidden, labels)
    return loss.chunked_cross_entropy(chosen.hidden, head, chosen.targets, chunk_rows)


@given(batches(), st.sampled_from(["trained", "frozen", "only the head"]), st.floats(0.1, 5))
def test_value_and_gradients_are_those_of_the_stock_loss(batch, head_is, scale):
    hidden, head, labels, chunk_rows = batch
    results = []
    for function, more in ((stock, ()), (chunked, (chunk_rows,))):
        states = hidden.clone().requires_grad_(head_is != "only the head")
        weight = head.clone().requires_grad_(head_is != "frozen")
        total = function(states, weight, labels, *more)
        (total * scale).backward()
        results.append((total.detach(), states.grad, weight.grad))
    for expected, found in zip(*results, strict=True):
        assert (expected is None) == (found is None)
        if expected is not None:
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@given(batches())
def test_measuring_is_the_same_sum_and_the_best_tokens(batch):
    hidden, head, labels, chunk_rows = batch
    chosen = loss.select(hidden, labels)
    total, best = loss.measure(chosen.hidden, head, chosen.targets, chunk_rows)
    torch.testing.assert_close(total, stock(hidden, head, labels), rtol=1e-4, atol=1e-4)
    assert best.tolist() == (chosen.hidden @ head.T).argmax(-1).tolist()


def test_half_precision_states_with_a_full_precision_head():
    """LoRA on a bf16 base, and full fine-tuning under autocast: gradients keep their types."""
    torch.manual_seed(0)
    hidden = torch.randn(1, 9, 16, dtype=torch.bfloat16, requires_grad=True)
    head = torch.randn(30, 16, requires_grad=True)
    labels = torch.randint(30, (1, 9))
    total = chunked(hidden, head, labels, 4)
    total.backward()
    assert (total.dtype, hidden.grad.dtype, head.grad.dtype) == (
        torch.float32,
        torch.bfloat16,
        torch.float32,
    )
    assert total.item() == pytest.approx(stock(hidden.float(), head, labels).item(), rel=2e-2)


def batch_of(seed=0, rows=2, time=20, ignored=0.4):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, BASE.vocabulary, (rows, time), generator=generator)
    hide = torch.rand(rows, time, generator=generator) < ignored
    return {"input_ids": ids, "labels": ids.masked_fill(hide, loss.IGNORED)}


def pair(kind):
    """The same model twice, the second with the chunked loss."""
    stocked = model(tied=kind != "untied").train()
    if kind == "frozen":
        stocked.get_output_embeddings().weight.requires_grad_(False)
    ours = copy.deepcopy(stocked)
    loss.install(ours, chunk_rows=7)
    return stocked, ours


def gradients(of):
    return {name: one.grad for name, one in of.named_parameters() if one.requires_grad}


@pytest.mark.parametrize("kind", ["tied", "untied", "frozen"])
@pytest.mark.parametrize("count", [None, 11], ids=["mean", "over-the-step"])
def test_a_whole_model_learns_the_same(kind, count):
    stocked, ours = pair(kind)
    batch = batch_of()
    if count is not None:
        batch["num_items_in_batch"] = torch.tensor(count)
    expected, found = stocked(**batch).loss, ours(**batch).loss
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    expected.backward()
    found.backward()
    torch.testing.assert_close(gradients(ours), gradients(stocked), rtol=1e-3, atol=1e-5)


def test_micro_batches_add_up_to_the_whole_batch():
    _, ours = pair("tied")
    whole, at_once = batch_of(rows=4), copy.deepcopy(ours)
    count = int((whole["labels"][:, 1:] != loss.IGNORED).sum())
    at_once(**whole).loss.backward()
    for part in (slice(0, 1), slice(1, 4)):
        ours(**{k: v[part] for k, v in whole.items()}, num_items_in_batch=count).loss.backward()
    torch.testing.assert_close(gradients(ours), gradients(at_once), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("count", [None, 5, 0, torch.tensor(0)], ids=str)
def test_a_batch_without_targets_costs_and_teaches_nothing(count):
    _, ours = pair("tied")
    output = ours(**batch_of(ignored=2), num_items_in_batch=count)
    output.loss.backward()
    assert output.loss.item() == 0
    assert all(not one.any() for one in gradients(ours).values() if one is not None)


def test_a_documents_first_token_is_no_target():
    hidden, labels = torch.zeros(1, 6, 2), torch.tensor([[5, 6, 7, 8, 9, 4]])
    positions = torch.tensor([[0, 1, 2, 0, 1, 0]])
    assert loss.select(hidden, labels).targets.tolist() == [6, 7, 8, 9, 4]
    chosen = loss.select(hidden, labels, positions)
    assert chosen.targets.tolist() == [6, 7, 9]
    assert chosen.places.tolist() == [0, 1, 3]


class Products(TorchDispatchMode):
    """Notes the rows of every product that makes logits (its last side is the vocabulary)."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        product = function.overloadpacket in {torch.ops.aten.mm, torch.ops.aten.bmm}
        if product and made.shape[-1] == BASE.vocabulary:
            self.rows.append(made.shape[:-1].numel())
        return made


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_logits_exist_for_the_targets_only_one_chunk_at_a_time(mode):
    _, ours = pair("tied")
    ours.train(mode == "train")
    batch = batch_of(rows=3, time=40, ignored=0.8)
    targets = int((batch["labels"][:, 1:] != loss.IGNORED).sum())
    assert 7 < targets < 40
    with Products() as products:
        output = ours(**batch)
        if mode == "train":
            output.loss.backward()
    assert sum(products.rows) == targets
    assert max(products.rows) <= 7


def test_the_guard_sees_the_stock_losss_logits():
    stocked, _ = pair("tied")
    with Products() as products:
        stocked(**batch_of(rows=3, time=40, ignored=0.8))
    assert sum(products.rows) == 120


def test_evaluation_gives_the_best_tokens_and_no_logits():
    stocked, ours = pair("tied")
    batch = batch_of()
    with torch.no_grad():
        expected, found = stocked.eval()(**batch), ours.eval()(**batch)
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-5, atol=1e-6)
    assert found.logits.shape == batch["labels"].shape
    best = expected.logits.argmax(-1)[:, :-1]
    hidden = batch["labels"][:, 1:] == loss.IGNORED
    assert torch.equal(found.logits[:, :-1], best.masked_fill(hidden, loss.IGNORED))
    assert (found.logits[:, -1] == loss.IGNORED).all()


def test_without_labels_nothing_changes():
    stocked, ours = pair("tied")
    ids = batch_of()["input_ids"]
    assert torch.equal(stocked.eval()(ids).logits, ours.eval()(ids).logits)
