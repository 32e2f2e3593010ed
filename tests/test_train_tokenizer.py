"""The tiny bases' tokenizer: any text comes back, and turns stand between single tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen2Config

from bench.errors import BenchError
from bench.train.tokenizer import (
    END_OF_TEXT,
    SPECIAL,
    TURN_END,
    TURN_START,
    load_tokenizer,
    train_tokenizer,
)

TEXTS = [
    f"def {name}(values: list[int]) -> int:\n    total = 0\n    return total_{name}\n"
    f"static int {name.title()}(List<Integer> values) {{\n    return {number};\n}}\n"
    for number, name in enumerate(["count", "sum", "even", "odd", "first"])
]
MESSAGES = [
    {"role": "system", "content": "You write code."},
    {"role": "user", "content": "Sum a list.\n"},
    {"role": "assistant", "content": "def total(values):\n    return sum(values)"},
]


@pytest.fixture(scope="module")
def tokens():
    return train_tokenizer(TEXTS, 400)


def ids(tokens, text):
    return tokens(text, add_special_tokens=False)["input_ids"]


def test_the_same_texts_give_the_same_tokenizer(tokens, tmp_path):
    again = train_tokenizer(iter(TEXTS), 400)
    assert again.backend_tokenizer.to_str() == tokens.backend_tokenizer.to_str()
    for name, one in (("one", tokens), ("other", again)):
        one.save_pretrained(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_other_texts_give_another_one(tokens):
    other = train_tokenizer(["while (queue.Count > 0) { queue.Dequeue(); }"] * 3, 400)
    assert other.get_vocab() != tokens.get_vocab()


def test_the_vocabulary_is_as_large_as_asked_for():
    assert len(train_tokenizer(TEXTS, 300)) == 300
    assert len(train_tokenizer(["a"], 400)) == 256 + len(SPECIAL)
    with pytest.raises(BenchError, match="at least 259"):
        train_tokenizer(TEXTS, 258)


@pytest.mark.parametrize("special", SPECIAL)
def test_special_tokens_are_single_ids(tokens, special):
    (token,) = ids(tokens, special)
    assert ids(tokens, f"a{special}b") == [*ids(tokens, "a"), token, *ids(tokens, "b")]
    assert tokens.decode([token], skip_special_tokens=True) == ""
    assert tokens.decode([token]) == special


def test_the_ends_are_known(tokens):
    assert tokens.eos_token == tokens.pad_token == END_OF_TEXT
    assert tokens.padding_side == "left"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(tokens, text):
    assert tokens.decode(ids(tokens, text), clean_up_tokenization_spaces=False) == text
    assert tokens.decode(ids(tokens, text)) == text


@given(st.text(), st.text())
def test_special_tokens_part_texts(tokens, left, right):
    """What stands before a turn's end is tokenized alike whatever follows."""
    whole = ids(tokens, left + TURN_END + right)
    assert whole == [*ids(tokens, left), *ids(tokens, TURN_END), *ids(tokens, right)]


@pytest.mark.parametrize("words", [["_even", "Even", " even"], ["_count", "Count", " count"]])
def test_words_are_pieces_however_they_are_joined(words):
    tokens = train_tokenizer(["x_even Even even x_count Count count"] * 9, 300)
    assert [len(ids(tokens, word)) for word in words] == [1, 1, 1]


def test_a_line_break_and_its_indentation_are_one_piece(tokens):
    assert len(ids(tokens, "\n    ")) == 1


def test_a_chat_reads_as_written(tokens):
    text = tokens.apply_chat_template(MESSAGES, tokenize=False)
    turns = (f"{TURN_START}{m['role']}\n{m['content']}{TURN_END}\n" for m in MESSAGES)
    assert text == "".join(turns)
    assert tokens.decode(ids(tokens, text)) == text
    assert ids(tokens, text).count(ids(tokens, TURN_END)[0]) == 3


def test_the_prompt_is_what_the_whole_chat_begins_with(tokens):
    prompt = tokens.apply_chat_template(MESSAGES[:-1], tokenize=False, add_generation_prompt=True)
    whole = tokens.apply_chat_template(MESSAGES, tokenize=False)
    assert prompt.endswith(f"{TURN_START}assistant\n")
    assert whole == f"{prompt}{MESSAGES[-1]['content']}{TURN_END}\n"


def test_it_is_the_same_once_saved_beside_a_model_and_loaded(tokens, tmp_path):
    # With a qwen2 configuration beside it, AutoTokenizer cuts words by Qwen's own rules.
    tokens.save_pretrained(tmp_path)
    Qwen2Config().save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert ids(loaded, "\n    return") == ids(tokens, "\n    return")
    text = tokens.apply_chat_template(MESSAGES, tokenize=False) + "é\t≤\r\n  x_1"
    assert ids(loaded, text) == ids(tokens, text)
    assert loaded.apply_chat_template(MESSAGES, tokenize=False) == tokens.apply_chat_template(
        MESSAGES, tokenize=False
    )
    assert (loaded.eos_token_id, loaded.pad_token_id) == (tokens.eos_token_id, tokens.pad_token_id)
