"""Models of the paper's own shapes with random weights, as a hub's folder: what a study reads.

The tokenizer is the kit's own; the vocabulary of the weights is the true one.
"""

from __future__ import annotations

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from bench.costs import Shape
from bench.data import embedded
from bench.records import TRACKS
from bench.train.tokenizer import train_tokenizer

#: Qwen2.5-Coder's shapes (performance figures of the makers' config.json).
SHAPES = {
    "0.5b": Shape(896, 24, 14, 2, 4864, 151_936, tied=True),
    "1.5b": Shape(1536, 28, 12, 2, 8960, 151_936, tied=True),
    "3b": Shape(2048, 36, 16, 2, 11_008, 151_936, tied=True),
    "7b": Shape(3584, 28, 28, 4, 18_944, 152_064, tied=False),
}


def make(size, folder, layers=None):
    """Save a model of a size, its depth cut to ``layers``; gives the number of weights."""
    shape = SHAPES[size]
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=layers or shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=32_768,
        rms_norm_eps=1e-6,
    )
    texts = [one.reference for one in embedded.samples(embedded.load(), "train", TRACKS[0])]
    tokenizer = train_tokenizer(texts, 2048)
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    torch.manual_seed(0)
    model = Qwen2ForCausalLM._from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(one.numel() for one in model.parameters())


def study(path, name, folders):
    """The study `paper` on such folders, with few rows, steps, problems and new tokens."""
    sizes = "\n".join(
        f'[[sizes]]\nkind = "hub"\nname = "{size}"\nrepository = "{folder}"\n'
        f'revision = "{"0" * 40}"\n'
        for size, folder in folders.items()
    )
    steps = "warmup_steps = 1\nepochs = 1\nmax_steps = 2\nrows_per_step = 2\n"
    suites = "\n".join(
        f'[[suites]]\nname = "{suite}"\nlabel = "{suite}-corrected"\nprompts = "corrected"\n'
        "max_problems_per_track = 1\n"
        for suite in ("codereval", "codexglue-trans")
    )
    path.write_text(
        f'schema = 1\nextends = "paper"\nname = "{name}"\nsummary = "true shapes"\n{sizes}\n'
        f'[data]\ncorpus = "codexglue"\nmax_samples_per_track = 8\n\n{suites}\n'
        f"[training]\nrow_tokens = 128\n[training.qlora]\n{steps}[training.full]\n{steps}"
        "[training.early_stopping]\nevery_steps = 2\nmax_samples = 2\n"
        "[training.single.translation]\nwarmup_steps = 1\nevery_steps = 2\n"
        "[decoding]\nnew_tokens = { generation = 6, summarization = 4, translation = 6 }\n"
        'window_tokens = 4096\nlong_prompts = "skip"\nbatch_tokens = 8192\ncheck_rows = 0\n'
        'batch_rows = 8\n[scoring]\nmetrics = ["cognitive"]\n'
    )
