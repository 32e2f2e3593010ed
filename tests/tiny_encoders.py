"""Encoders as small as they can be and still real, saved as the hub and SIDE's drive hold them.

The weights are random. Names, files and formats are those of the originals, so that the
code that loads those is the code that runs.
"""

from __future__ import annotations

import json

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForPreTraining, MPNetConfig, MPNetModel

_TEXT = (
    "the a of and is to return get set add two number list string text value name count sum "
    "vowel ignore case file read write java python public int void static class for if else"
)
WORDS = _TEXT.split()
PIECES = list("abcdefghijklmnopqrstuvwxyz0123456789.,:;(){}[]=+-*/<>_\"'")


def _vocabulary(special):
    return [*special, *WORDS, *PIECES, *(f"##{one}" for one in PIECES if one.isalnum())]


def _write_tokenizer(folder, special, **config):
    words = _vocabulary(special)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    content = {"do_lower_case": True, "model_max_length": 512, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(content))
    return len(words)


def bert(folder, seed=0, layers=3):
    """BERT as it was saved in 2018: under ``bert.``, with a head, norms as gamma and beta."""
    folder.mkdir(parents=True, exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    size = _write_tokenizer(folder, special)
    config = BertConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        initializer_range=0.4,
        architectures=["BertForMaskedLM"],
    )
    torch.manual_seed(seed)
    weights = BertForPreTraining(config).state_dict()
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value.contiguous().clone()
        for name, value in weights.items()
    }
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    return folder


def mpnet(folder, seed=0, positions=514):
    """MPNet as sentence-transformers saves one, without its pooler's weights."""
    folder.mkdir(parents=True, exist_ok=True)
    special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    size = _write_tokenizer(folder, special, tokenizer_class="MPNetTokenizer")
    config = MPNetConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=positions,
        initializer_range=0.4,
        architectures=["MPNetModel"],
    )
    torch.manual_seed(seed)
    MPNetModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder
