"""How long packing takes on as many documents as a translation training set has."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.packing import Document, pack


@pytest.mark.parametrize("mode", ["published", "isolated"])
def test_pack_twenty_thousand_documents(benchmark, mode):
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(4.8, 0.7, size=20_000), 8, 900).astype(int)
    documents = [
        Document(generator.integers(3, 2048, size=n).astype(np.int32), int(n) // 2, 3 * int(n))
        for n in lengths
    ]
    rows = benchmark(pack, documents, 512, mode, 0, 1)
    benchmark.extra_info["rows"] = len(rows)
    benchmark.extra_info["real_share"] = round(rows.tokens.real / rows.tokens.processed, 4)
    assert rows.tokens.real > 0.97 * rows.tokens.processed
