"""What the benchmarks share: a model of the smoke study's middle size, as it comes."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2ForCausalLM

from bench.data import embedded
from bench.grid import study
from bench.train import bases
from bench.train.tokenizer import train_tokenizer


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """The folder of a base with random weights: a pass costs what it costs on a trained one."""
    folder = tmp_path_factory.mktemp("base")
    base = study.load("smoke").base("2m")
    functions = embedded.load()
    texts = [code for one in functions for code in one.code.model_dump().values()]
    tokens = train_tokenizer(texts, base.vocabulary)
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(bases.architecture(base, tokens))
    model.to(torch.bfloat16).save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder
