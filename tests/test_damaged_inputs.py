"""Whatever lies where a file is read: one line that names it, in time, and nothing is believed.

A table of readers times a table of damages. Fast tests take a few of each; the whole is slow.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.analysis import published
from bench.analysis.claims import file as claimsfile
from bench.data import architectures, embedded, hub, readers, rowcache, sizes, sources, storedlines
from bench.data.fetching import needs
from bench.data.hub import lock as hublock
from bench.data.hub import tables as hubtables
from bench.data.prompts import Prompts
from bench.errors import BenchError
from bench.grid import devices, intact, profiles, recorded, store, study
from bench.grid.study import HubBase
from bench.report import excerpt, reference
from bench.report import folder as run_folder
from bench.run import archives, likeness, opening, provenance, stages
from bench.scoring import encoded, judgments, selfcheck
from bench.scoring.sandbox import packages
from tests import damage, fabricated_run, gpu_profiles
from tests.amended import amend, seal_again
from tests.fabricated_run import SMOKE

ROOT = Path(__file__).parents[1]
MODEL = "cells/mt-qlora-2m/multi-task"
ANSWER = {
    "id": "a",
    "suite": "s",
    "task": "generation",
    "language": "python",
    "prompt_sha256": "0",
    "prompt_tokens": 1,
    "output_tokens": 2,
    "finish_reason": "stop",
    "text": "x = 1",
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file: who makes a small one, who reads it, and what damage may give.

    A ``checked`` one carries a checksum: whatever is read of it is what was written. Of a
    ``quiet`` one damage is no error but the absence of what it says; an ``optional`` one may
    not be there.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    checked: bool = False
    quiet: bool = False
    optional: bool = False


def copied(name: str, *lines: int) -> Callable[[Path], Path]:
    """A file of the kit, or its first lines."""

    def make(folder: Path) -> Path:
        path = folder / Path(name).name
        content = (ROOT / name).read_bytes()
        path.write_bytes(b"\n".join(content.split(b"\n")[: lines[0]]) if lines else content)
        return path

    return make


def written(name: str, content: str | bytes) -> Callable[[Path], Path]:
    """A file of that content."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def in_json(name: str, content: Any) -> Callable[[Path], Path]:
    """A JSON file."""
    return written(name, json.dumps(content, indent=1))


ONE_SIZE = SMOKE.model_copy(update={"sizes": (SMOKE.base("2m"),)})


def run(folder: Path) -> Path:
    """An invented run of one size, with generations and a provenance."""
    made = fabricated_run.fabricate(folder / "smoke")
    for other in ("0.5m", "6m"):
        damage.remove(made / "bases" / other)
        for cell in made.glob(f"cells/*-{other}"):
            damage.remove(cell)
    for generate in (*made.glob("bases/*/generate"), *made.glob("cells/*/*/generate")):
        (generate / "generations.jsonl").write_text(json.dumps(ANSWER) + "\n")
        seal_again(generate)
    (made / store.STUDY).write_text(json.dumps(study.canonical(SMOKE), indent=1))
    told = json.loads((made / store.RUN).read_text())
    name = intact.name_of(told)
    (made / store.RUN).write_text(json.dumps(intact.sealed(told), indent=1))
    (made / store.PROVENANCES).mkdir()
    (made / store.PROVENANCES / f"{name}.json").write_text(json.dumps(told, indent=1))
    amend(made / MODEL / "generate" / store.RECORD, provenance=name)
    return made


def in_run(name: str) -> Callable[[Path], Path]:
    """A file of an invented run."""

    def make(folder: Path) -> Path:
        (path,) = run(folder).glob(name)
        return path

    return make


def packed(name: str) -> Callable[[Path], Path]:
    """An archive of two files of a run."""

    def make(folder: Path) -> Path:
        some = in_json("smoke/run.json", {"a": 1})(folder).parents[1]
        written("smoke/cells/a/b/train/record.json", "{}" * 999)(folder)
        (folder / "archives").mkdir()
        form = {".gz": "gztar", ".zip": "zip", ".tar": "tar", ".xz": "xztar", ".bz2": "bztar"}
        base = str(folder / "archives" / name.partition(".")[0])
        return Path(shutil.make_archive(base, form[Path(name).suffix], some, "smoke"))

    return make


def unpacked(path: Path) -> Any:
    """What is written of an archive; a part of it would not be, as it is a draft."""
    with tempfile.TemporaryDirectory() as folder:
        archives.unpack(path, Path(folder), lambda _: True)
        found = sorted(one for one in Path(folder).rglob("*") if one.is_file())
        return [(one.relative_to(folder).as_posix(), one.read_bytes()) for one in found]


def top(path: Path) -> Path:
    """The run's folder that a file is in."""
    return next(one for one in path.parents if one.name == "smoke")


def reported(path: Path) -> Any:
    """What a report makes of a run."""
    read = run_folder.read(top(path), ONE_SIZE)
    tables = run_folder.tables(read)
    return (
        read.records,
        read.metrics,
        read.notes,
        {key: value for key, value in read.provenance.items() if key != "time"},
        [one.provenance for one in read.origins],
        {
            str((suite, cell, track)): table.to_csv()
            for suite, cells in tables.items()
            for cell, tracks in cells.items()
            for track, table in tracks.items()
        },
    )


def rows(folder: Path) -> Path:
    """A small entry of the cache of rows."""
    from tests.test_data_rowcache import KEY
    from tests.test_data_rowcache import rows as some

    rowcache.RowCache(folder).get(KEY, lambda: some(count=2, width=8))
    return folder / "rows" / f"{KEY}.arrow"


def kept_rows(path: Path) -> Any:
    """What the cache has of them; None where they are made again."""
    found = rowcache.RowCache(path.parents[1])._read(path)
    return None if found is None else (found.input_ids.tolist(), found.labels.tolist())


def parquet(folder: Path) -> Path:
    """A small Parquet file."""
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    table = arrow.table({"code": ["a", "b"] * 50, "n": list(range(100))})
    pyarrow.parquet.write_table(table, folder / "train.parquet")
    return folder / "train.parquet"


def config(folder: Path) -> Path:
    """A model's folder with its configuration."""
    shape = {
        "model_type": "qwen2",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "vocab_size": 1000,
    }
    return in_json("config.json", shape)(folder)


def weights(folder: Path) -> Path:
    """A small safetensors file."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    save_file({"a.weight": torch.zeros(2, 3), "b": torch.ones(5)}, folder / "model.safetensors")
    return folder / "model.safetensors"


def shape_of(path: Path) -> Any:
    """The shape in a configuration, or why there is none: as an error, to be judged as one."""
    base = HubBase(name="x", kind="hub", repository=str(path.parent), revision="a" * 40)
    found = architectures.shape(base, None)
    if isinstance(found, str):
        raise BenchError(found, hint="-")
    return found


def pinned(path: Path) -> Any:
    """The packages of ``tools.toml``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packages, "PINS", path)
        return packages.all_pinned()


def values(path: Path) -> Any:
    """The per-instance values of a package of one file."""
    found = published.package(path.parents[3])
    return [
        (one.ids, {name: list(some) for name, some in one.values.items()})
        for one in found.instances
    ]


def mapped(folder: Path) -> Path:
    """One file of the package's values."""
    head = "id,NLOC,CCN,token,PARAM,length\n"
    name = "per-instance-value/lizard/generation/java/r-lizard_cg_0_5b-mt-fft.csv"
    return written(name, head + "".join(f"{n},1,2,3,4,5\n" for n in range(4)))(folder)


GENERATIONS = "".join(json.dumps({**ANSWER, "id": str(n)}) + "\n" for n in range(3))
ENCODED = {
    "side": {
        "ids": ["a/b"],
        "rows": {"columns": {"side": [0.5]}, "reasons": [None], "remark": ""},
        "why": "",
    }
}
LOCK = {
    "schema": 1,
    "repositories": {"a/b": {"revision": "0" * 40, "files": {"x": {"bytes": 3, "sha256": "0"}}}},
}

KINDS: Mapping[str, Kind] = {
    "study": Kind(copied("bench/studies/smoke.toml"), lambda path: study.load(str(path))),
    "claims": Kind(copied("bench/studies/claims.toml"), claimsfile.load),
    "prompts": Kind(
        copied("datasets/prompts/kit.toml"), lambda path: Prompts.load(path.stem, path.parent)
    ),
    "hub.toml": Kind(copied("datasets/hub.toml"), hub.repositories.__wrapped__),
    "gpus.toml": Kind(copied("datasets/gpus.toml"), devices._table.__wrapped__),
    "tools.toml": Kind(copied("datasets/tools.toml"), pinned),
    "known_failures.toml": Kind(copied("datasets/known_failures.toml"), selfcheck.known_failures),
    "token_counts.toml": Kind(copied("datasets/token_counts.toml"), sizes._counted.__wrapped__),
    "sources.tsv": Kind(copied("datasets/sources.tsv", 30), sources.manifest.__wrapped__),
    "citations.tsv": Kind(copied("datasets/citations.tsv"), needs.citations.__wrapped__),
    "published.csv": Kind(
        copied("reports/reference/published.csv", 40), reference.load.__wrapped__
    ),
    "costs": Kind(copied("reports/reference/smoke.costs.json"), recorded.shipped_run),
    "profile": Kind(
        lambda folder: gpu_profiles.write(
            folder / profiles.FOLDER, gpu_profiles.profile(gpu_profiles.training())
        ),
        lambda path: profiles.read(path.parents[1], path.parents[1] / "none"),
        optional=True,
    ),
    "hub's lock": Kind(in_json("hub.lock.json", LOCK), hublock._read, optional=True),
    "configuration": Kind(config, shape_of),
    "weights": Kind(weights, lambda path: stages._parameters(path.parent), optional=True),
    "embedded functions": Kind(
        lambda folder: copied(next(iter(embedded.files())).relative_to(ROOT).as_posix(), 4)(folder),
        lambda path: embedded.load([path]),
    ),
    "problems": Kind(
        written("humaneval.jsonl", '{"task_id": "a", "prompt": "b"}\n' * 3),
        lambda path: readers.read_jsonl(path, {"task_id": str, "prompt": str}),
    ),
    "packed problems": Kind(
        written("a.jsonl.gz", gzip.compress(b'{"code": "a", "n": 1}\n' * 200)),
        lambda path: list(hubtables.records(path, {"code": str})),
    ),
    "Parquet": Kind(parquet, lambda path: list(hubtables.records(path, {"code": str}))),
    "answers": Kind(written("answers.jsonl", GENERATIONS), lambda path: storedlines.read(path)),
    "generations": Kind(written("generations.jsonl", GENERATIONS), stages._read_generations),
    "encoded": Kind(in_json("encoded.json", ENCODED), encoded.read),
    "judge's answers": Kind(
        written("judge.jsonl", '{"question": "q", "answer": "5"}\n'),
        lambda path: judgments.Answers(path).get("q"),
        quiet=True,
    ),
    "values": Kind(mapped, values),
    "document": Kind(
        written("README.md", f"a\n{excerpt.BEGIN}\nb\n{excerpt.END}\n"),
        lambda path: excerpt.write(fabricated_run.reported()[2], path),
    ),
    "rows": Kind(rows, kept_rows, checked=True, quiet=True),
    "record": Kind(in_run(f"{MODEL}/train/record.json"), reported, checked=True),
    "record alone": Kind(
        in_run(f"{MODEL}/train/record.json"),
        lambda path: store.read_record(path.parent),
        checked=True,
        quiet=True,
    ),
    "scores": Kind(in_run(f"{MODEL}/score/scores.json"), reported, checked=True),
    "table": Kind(in_run(f"{MODEL}/score/embedded.generation-java.csv"), reported, checked=True),
    "stored generations": Kind(
        in_run(f"{MODEL}/generate/generations.jsonl"), reported, checked=True
    ),
    "provenance": Kind(in_run("provenance/*.json"), reported, checked=True, optional=True),
    "last provenance": Kind(in_run("run.json"), reported, checked=True),
    "adapter": Kind(
        in_run(f"{MODEL}/score/scores.json"),
        lambda path: intact.require(path.parent, intact.read(path.parent)),
        checked=True,
    ),
    "tar": Kind(packed("a.tar"), unpacked),
    "tar.gz": Kind(packed("a.tar.gz"), unpacked),
    "tar.xz": Kind(packed("a.tar.xz"), unpacked),
    "tar.bz2": Kind(packed("a.tar.bz2"), unpacked),
    "zip": Kind(packed("a.zip"), unpacked),
    "own study": Kind(
        in_run("study.json"), lambda path: recorded.run(top(path)) and None, quiet=True
    ),
    "own study of an earlier run": Kind(
        in_run("study.json"),
        lambda path: opening.check_study(top(path), top(path), SMOKE),
        quiet=True,
    ),
    "run": Kind(in_run("run.json"), lambda path: provenance.read(top(path)) and None, quiet=True),
    "another run's answers": Kind(
        in_run(f"{MODEL}/generate/generations.jsonl"),
        lambda path: list(likeness._answers(top(path))),
    ),
    "another run's scores": Kind(
        in_run(f"{MODEL}/score/scores.json"), lambda path: list(likeness._values(top(path)))
    ),
}


def _judged(kind: Kind, path: Path, whole: Any, how: str) -> str | None:
    """What is wrong with how a reader took a damaged file; None if nothing is."""
    try:
        with damage.in_time():
            found = kind.read(path)
    except BenchError as error:
        told = error.problem + error.hint
        if not told.isprintable():
            return f"{how}: more than one line: {told!r}"
        if not any(name in error.problem for name in (path.name, path.stem, *path.parts[-5:])):
            return f"{how}: does not name the file: {error.problem}"
        return None
    except Exception as error:  # noqa: BLE001 - what a traceback would be made of
        return f"{how}: {type(error).__name__}: {str(error)[:200]}"
    absent = kind.optional and how == "nothing"
    if kind.checked and not absent and found is not None and found != whole:
        return f"{how}: accepted"
    if not kind.quiet and not kind.checked and not absent and how in damage.UNREADABLE:
        return f"{how}: accepted"
    return None


def _inputs(kind: Kind, path: Path) -> Iterator[str]:
    """Every damage of a file, and of the content of one whose form is known."""
    yield from damage.damaged(path)
    text = path.read_bytes()
    of = {".json": damage.of_json, ".toml": damage.of_toml, ".jsonl": damage.of_lines}
    if path.suffix in of:
        for how, changed in of[path.suffix](text.decode(), 12):
            path.write_bytes(changed.encode("utf-8", "surrogatepass"))
            yield how
        path.write_bytes(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_no_damaged_file_is_a_traceback_a_hang_or_believed(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    path = kind.make(tmp_path)
    whole = kind.read(path)
    before = path.read_bytes()
    wrong = [_judged(kind, path, whole, how) for how in _inputs(kind, path)]
    path.write_bytes(before)
    assert kind.read(path) == whole
    assert [one for one in wrong if one] == []
    assert len(wrong) >= 80
