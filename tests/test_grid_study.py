"""Every cell of every study that ships is valid, and a wrong study is told in one line."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.grid import batching, cells, study
from bench.records import METHODS, TASKS, TRACKS

SMOKE = (study.STUDIES / "smoke.toml").read_text()


#: Sizes, cells and models of the studies that ship, and of some with their options.
SHIPPED = {
    ("mini", ()): (3, 9, 15),
    ("paper", ()): (3, 9, 15),
    ("paper", ("0.5b",)): (4, 12, 20),
    ("paper", ("rq3",)): (3, 12, 18),
    ("paper", ("rq3", "0.5b")): (4, 15, 23),
    ("rehearsal", ()): (2, 9, 13),
    ("rehearsal", ("0.5b",)): (3, 12, 18),
    ("smoke", ()): (3, 9, 15),
}


def test_every_study_that_ships_is_counted() -> None:
    assert {name for name, _ in SHIPPED} == set(study.available())


@pytest.mark.parametrize(("named", "counts"), SHIPPED.items())
def test_every_cell_of_every_study(
    named: tuple[str, tuple[str, ...]], counts: tuple[int, int, int]
) -> None:
    loaded = study.load(*named)
    assert loaded.name == named[0]
    grid = study.expand(loaded)
    models = [(cell.id, model.id) for cell in grid for model in cell.models]
    assert (len(loaded.sizes), len(grid), len(models)) == counts
    assert len(models) == len(set(models))
    assert len({cell.id for cell in grid}) == len(grid)
    for cell in grid:
        assert cell.method in METHODS
        base = loaded.base(cell.size)
        if isinstance(base, study.TinyBase):
            assert base.hidden_size % base.heads == 0
            assert base.heads % base.kv_heads == 0
        trained = [task for model in cell.models for task in model.tasks]
        if cell.series == cell.method:
            assert cell.id == f"{cell.method}-{cell.size}"
            assert sorted(trained) == sorted(TASKS)
        else:
            assert cell.id == f"{cell.method}-{cell.size}-{'-'.join(trained)}"
            assert len(trained) == 2
        assert len(cell.models) == (3 if cell.method == "st-qlora" else 1)
    for optimization in (loaded.training.qlora, loaded.training.full):
        if optimization.rows_per_micro_batch != "auto":
            assert optimization.rows_per_step % optimization.rows_per_micro_batch == 0
    assert max(loaded.decoding.new_tokens.values()) < loaded.decoding.window_tokens
    assert loaded.suites


def test_smoke_is_there() -> None:
    assert "smoke" in study.available()


def test_tracks_of_tasks() -> None:
    loaded = study.load("smoke")
    assert loaded.tracks(TASKS) == TRACKS
    assert [str(track) for track in loaded.tracks(("translation",))] == [
        "translation/java_cs",
        "translation/cs_java",
    ]


def test_selection_by_pattern_keeps_the_order() -> None:
    grid = study.expand(study.load("smoke"))
    chosen = cells.select(grid, ["mt-fft-*", "st-qlora-2m"])
    assert [cell.id for cell in chosen] == ["mt-fft-0.5m", "st-qlora-2m", "mt-fft-2m", "mt-fft-6m"]
    assert cells.select(grid, []) == grid


def test_an_unknown_cell_names_the_nearest() -> None:
    grid = study.expand(study.load("smoke"))
    with pytest.raises(BenchError, match=r"unknown cell 'mt-qlora-3m' .*mt-qlora-2m"):
        cells.select(grid, ["mt-qlora-3m"])


def test_an_unknown_study_names_the_nearest() -> None:
    with pytest.raises(BenchError, match="unknown study 'smoek' — did you mean: smoke"):
        study.load("smoek")


def test_an_unknown_size_names_the_valid() -> None:
    with pytest.raises(BenchError, match="unknown size '9b'"):
        study.load("smoke").base("9b")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed = 42", "sede = 42", "sede: no such field; did you mean seed?"),
        ("row_tokens = 512", "row_tokens = 0", "training.row_tokens = 0: input should be greater"),
        (
            'packing = "isolated"',
            'packing = "loose"',
            "training.packing = 'loose': input should be",
        ),
        ("window_tokens = 1024\n", "", "decoding.window_tokens: missing, and needed"),
        ("summarization = 48, ", "", "decoding: new_tokens needs exactly the keys"),
        ("schema = 1", "schema = 2", "schema = 2: input should be 1"),
        ("schema = 1", "schema = ", "not valid TOML"),
        ("schema = 1", 'schema = 1\nextends = "smok"', "unknown study 'smok'"),
        ("schema = 1", "schema = 1\nextends = 3", "extends: not a text"),
        ("schema = 1", 'schema = 1\nwith = ["rq3"]', "unknown option 'rq3'"),
        (
            "schema = 1",
            "schema = 1\noptions.a.sumary = 3",
            "options.a.summary: missing, and needed",
        ),
        (
            'name = "embedded"',
            'name = "embedded"\n[[suites]]\nname = "embedded"',
            "two suites of one label",
        ),
        (
            'name = "embedded"',
            'name = "embedded"\nlabel = "a:b"',
            "suites.0.label = 'a:b': not a plain file name",
        ),
        (
            'name = "embedded"',
            'name = "embedded"\nextraction = "published"',
            "suite embedded: extraction published needs the published wording",
        ),
        ('name = "2m"', 'name = "0.5m"', "two sizes of one name"),
        (
            "[data]",
            '[[mixtures]]\nmethod = "mt-fft"\nsize = "1m"\n'
            'tasks = ["generation", "translation"]\n[data]',
            "a mixture at the size '1m'",
        ),
        (
            "[data]",
            '[[mixtures]]\nmethod = "mt-fft"\nsize = "2m"\ntasks = ["generation"]\n[data]',
            "mixtures.0.tasks = ['generation']: the list should have at least 2",
        ),
        (
            "[training.early_stopping]",
            "[training.single.translation]\nevery_steps = 1\n[training.early_stopping]\nmetrik = 1",
            "training.early_stopping.metrik",
        ),
    ],
)
def test_a_wrong_study_is_told_in_one_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in SMOKE
    path = tmp_path / "mine.toml"
    path.write_text(SMOKE.replace(old, new, 1))
    with pytest.raises(BenchError) as caught:
        study.load(str(path))
    assert told in str(caught.value)
    assert str(path) in str(caught.value) or "unknown" in told
    assert "\n" not in caught.value.problem


def test_the_canonical_form_is_the_whole_study() -> None:
    plain = study.canonical(study.load("smoke"))
    assert study.Study.model_validate(plain) == study.load("smoke")
    assert set(tomllib.loads(SMOKE)) <= set(plain)


def test_a_study_extends_another_table_by_table(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'extends = "smoke"\nname = "mine"\n[training.qlora]\nepochs = 9\n'
        '[[suites]]\nname = "mbpp"\n'
    )
    (tmp_path / "again.toml").write_text('extends = "mine.toml"\nname = "again"\n')
    mine, smoke = study.load(str(tmp_path / "again.toml")), study.load("smoke")
    assert mine.name == "again"
    assert mine.training.qlora == smoke.training.qlora.model_copy(update={"epochs": 9})
    assert mine.training.full == smoke.training.full
    assert [suite.name for suite in mine.suites] == ["mbpp"]
    assert mine.sizes == smoke.sizes


def test_a_study_that_extends_itself_is_told(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.toml").write_text(f'extends = "{other}.toml"\n')
    with pytest.raises(BenchError, match="extends itself"):
        study.load(str(tmp_path / "a.toml"))


def test_a_chain_of_studies_has_an_end(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"\n')
    with pytest.raises(BenchError, match=r"0\.toml: extends more than 16 files"):
        study.load(str(tmp_path / "0.toml"))


def test_an_option_is_checked_before_it_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    mixture = '{ method = "mt-qlora", size = "9b", tasks = ["generation", "summarization"] }'
    option = f'options.more = {{ summary = "x", mixtures = [{mixture}] }}'
    path.write_text(f'extends = "smoke"\n{option}\n')
    with pytest.raises(BenchError, match="a mixture at the size '9b'"):
        study.load(str(path))


@pytest.mark.parametrize(
    ("name", "right"),
    [
        *((name, True) for name in ("gpt2", "a/b", "Qwen/Qwen2.5-Coder-3B", "_a/b_c", "/models/x")),
        *((name, False) for name in ("../x", "..", ".", "a/b/c", "a /b", "a/b@main", "-a/b")),
        *((name, False) for name in ("a/b#c", "a/%2e%2e", "ａ/b", "~/x", "a\\\\b", "a/b-")),
        *(
            (name, False)
            for name in ("https://huggingface.co/a/b", "/models/../x", "a/" + "b" * 96)
        ),
    ],
)
def test_a_repository_is_the_hubs_or_a_folder(tmp_path: Path, name: str, right: bool) -> None:
    path = tmp_path / "mine.toml"
    size = f'kind = "hub", name = "x", repository = "{name}", revision = "{"a" * 40}"'
    path.write_text(f'extends = "smoke"\nsizes = [{{ {size} }}]\n')
    if right:
        assert study.load(str(path)).sizes[0].name == "x"
    else:
        with pytest.raises(BenchError, match=r"sizes\.0\.repository.*neither a repository"):
            study.load(str(path))


@pytest.mark.parametrize("name", ["reference", "Profiles"])
def test_a_run_is_not_mixed_with_the_kits_own_folders(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "smoke"\nname = "{name}"\n')
    with pytest.raises(BenchError, match="a folder of the kit's own among the results"):
        study.load(str(path))


def test_a_study_of_thousands_of_sizes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    hub = 'kind = "hub", repository = "a/b", revision = "' + "a" * 40 + '"'
    sizes = ", ".join(f'{{ name = "x{number}", {hub} }}' for number in range(101))
    path.write_text(f'extends = "smoke"\nsizes = [{sizes}]\n')
    with pytest.raises(BenchError, match="at most 100"):
        study.load(str(path))


def test_an_unknown_option_names_the_valid() -> None:
    with pytest.raises(BenchError, match="unknown option 'rq4' — did you mean: rq3"):
        study.load("paper", ["rq4"])
    with pytest.raises(BenchError, match="the study mini has no options"):
        study.load("mini", ["rq3"])


@pytest.mark.parametrize("name", ["paper", "rehearsal", "smoke"])
def test_the_measuring_arm_is_the_published_setting_for_a_few_steps(name: str) -> None:
    loaded = study.load(name, ["published-cost"])
    before = study.canonical(loaded)
    training = loaded.as_published().training
    assert study.canonical(loaded) == before
    assert training.plan == "published"
    assert training.early_stopping is None
    for kind in ("qlora", "full"):
        chosen, own = getattr(training, kind), getattr(loaded.training, kind)
        # In the paper 2 rows at once, in steps of 32; elsewhere less than at the study's own.
        assert chosen.rows_per_step % chosen.rows_per_micro_batch == 0
        assert chosen.rows_per_step > chosen.rows_per_micro_batch
        assert (chosen.learning_rate, chosen.rows_per_step) == (
            own.learning_rate,
            own.rows_per_step,
        )
        assert loaded.measuring is not None
        assert chosen.max_steps == loaded.measuring.steps
    if name == "paper":
        assert training.qlora.rows_per_micro_batch == training.full.rows_per_micro_batch == 2
        assert (training.qlora.optimizer, training.full.optimizer) == (
            "adamw_bnb_8bit",
            "adamw_torch",
        )
        assert training.full.gradient_checkpointing


def test_without_its_option_a_study_has_no_measuring_arm() -> None:
    assert study.load("paper").measuring is None
    assert study.load("paper", ["published-cost", "rq3"]).measuring is not None
    with pytest.raises(BenchError, match="--with published-cost"):
        study.load("paper").as_published()


def test_a_cell_of_an_option_names_the_option() -> None:
    paper = study.load("paper")
    with pytest.raises(BenchError, match="add --with rq3"):
        study.select(paper, ["mt-qlora-3b-generation-*"])
    with pytest.raises(BenchError, match=r"add --with 0\.5b"):
        study.select(paper, ["mt-qlora-0.5b"])
    with pytest.raises(BenchError, match="unknown cell 'mt-qlora-9b'"):
        study.select(paper, ["mt-qlora-9b"])
    mixed = study.select(study.load("paper", ["rq3"]), ["mt-qlora-3b-generation-*"])
    assert [cell.series for cell in mixed] == [
        "mt-qlora-generation-summarization",
        "mt-qlora-generation-translation",
    ]


def test_the_paper_study_is_the_published_protocol() -> None:
    paper = study.load("paper", ["0.5b"])
    assert [base.name for base in paper.sizes] == ["0.5b", "1.5b", "3b", "7b"]
    training = paper.training
    assert (training.packing, training.row_tokens, training.loss_on_prompt) == (
        "published",
        512,
        True,
    )
    for chosen in (training.qlora, training.full):
        assert (chosen.learning_rate, chosen.scheduler, chosen.epochs) == (1e-4, "cosine", 5)
        assert (chosen.rows_per_step, chosen.rows_per_micro_batch) == (32, "auto")
        assert (chosen.warmup_steps, chosen.max_steps) == (1000, None)
    assert training.qlora.optimizer == "adamw_bnb_8bit"
    assert training.full.optimizer == "adamw_torch_fused"  # torch's AdamW, in fewer kernels
    assert training.qlora.gradient_checkpointing is False
    assert training.full.gradient_checkpointing == "auto"
    published = [
        batching.published(one, full=one is training.full)
        for one in (training.qlora, training.full)
    ]
    assert published == [batching.Setting(2, False), batching.Setting(2, True)]
    assert (training.lora.rank, training.lora.alpha, training.lora.dropout) == (8, 16, 0.1)
    stopping = training.early_stopping
    assert stopping is not None
    assert (stopping.every_steps, stopping.patience, stopping.threshold, stopping.metric) == (
        5000,
        3,
        0.001,
        "similarity",
    )
    alone = training.of(["translation"])
    assert alone.early_stopping is not None
    assert (alone.qlora.warmup_steps, alone.full.warmup_steps) == (100, 100)
    assert alone.early_stopping.every_steps == 625
    for tasks in (["generation"], ["summarization"], TASKS, ["summarization", "translation"]):
        assert training.of(tasks) == training.model_copy(update={"single": {}})
    assert paper.decoding.new_tokens == {
        "generation": 512,
        "summarization": 128,
        "translation": 512,
    }
    asked = {suite.label: (suite.name, paper.asked(suite)) for suite in paper.suites}
    assert asked == {
        "codereval": ("codereval", "published"),
        "codexglue-trans": ("codexglue-trans", "published"),
        "codereval-corrected": ("codereval", "corrected"),
        "codexglue-trans-corrected": ("codexglue-trans", "corrected"),
    }


def test_the_rehearsal_replaces_weights_and_caps_alone() -> None:
    paper, rehearsal = study.load("paper"), study.load("rehearsal")
    for name in ("prompts", "methods", "tasks", "seed", "scoring"):
        assert getattr(rehearsal, name) == getattr(paper, name)
    capped = {"max_problems_per_track": None}
    assert [suite.model_copy(update=capped) for suite in rehearsal.suites] == list(paper.suites)
    same = {"learning_rate", "warmup_steps", "epochs", "max_steps"}
    same |= {"rows_per_step", "rows_per_micro_batch"}
    for one, other in (
        (rehearsal.training.qlora, paper.training.qlora),
        (rehearsal.training.full, paper.training.full),
    ):
        assert one.model_dump(exclude=same) == other.model_dump(exclude=same)
    different = {"qlora", "full", "early_stopping", "single", "dequantised"}
    assert rehearsal.training.model_dump(exclude=different) == paper.training.model_dump(
        exclude=different
    )
    assert [getattr(base, "embedding_rows", 0) for base in rehearsal.sizes] == [151_936, None]
