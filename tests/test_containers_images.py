"""Tags follow what decides an image, what is there is not built, builds see no network."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess

import pytest

from bench.containers import debian, images, wheels
from bench.containers.images import Wanted
from bench.data.sources import ROOT
from bench.errors import BenchError, MachineError
from bench.scoring.sandbox import packages

DIGEST = "registry/debian@sha256:" + "a" * 64
CPU = Wanted()


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of what recipes are made of, to change."""
    root = tmp_path / "tree"
    shutil.copytree(ROOT / "containers", root / "containers")
    skip = shutil.ignore_patterns("__pycache__", "prompts", "studies", "report", "analysis")
    shutil.copytree(ROOT / "bench", root / "bench", ignore=skip)
    (root / "datasets").mkdir()
    shutil.copy(ROOT / "datasets" / "tools.toml", root / "datasets")
    monkeypatch.setattr(images, "ROOT", root)
    monkeypatch.setattr(images, "FOLDER", root / "containers")
    monkeypatch.setattr(images, "LOCKS", root / "containers" / "locks")
    monkeypatch.setattr(packages, "PINS", root / "datasets" / "tools.toml")
    monkeypatch.delenv(images.BASE_VARIABLE, raising=False)
    monkeypatch.setattr(images.identity, "of", lambda there, name: there.held(name))
    return root


def tags():
    found = {name: images.recipe(name, CPU) for name in images.NAMES}
    return {**found, "run-cuda": images.recipe("run", Wanted(gpu=True))}


EVERY = {"base", "run", "run-cuda", "score"}


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("containers/base/Containerfile", EVERY),
        ("containers/locks/base.debs.txt", EVERY),
        ("bench/containers/rootfs.py", EVERY),
        ("containers/run/Containerfile", {"run", "run-cuda"}),
        ("containers/run/unused.txt", {"run", "run-cuda"}),
        ("containers/locks/run.txt", {"run", "run-cuda"}),
        ("containers/locks/torch-cpu.txt", {"run"}),
        ("containers/locks/torch-cuda.txt", {"run-cuda"}),
        ("containers/venv.sh", {"run", "run-cuda", "score"}),
        ("containers/debs.sh", {"run", "run-cuda", "score"}),
        ("containers/locks/score.txt", {"score"}),
        ("containers/locks/score.debs.txt", {"score"}),
        ("containers/score/tools.sh", {"score"}),
        ("datasets/tools.toml", {"score"}),
        ("bench/scoring/sandbox/inside/csharp/Run.cs", {"score"}),
        ("bench/scoring/sandbox/inside/java/Run.java", {"score"}),
        ("bench/scoring/sandbox/dotnet.py", {"score"}),
        ("bench/containers/tools.py", set()),  # a comment at its end is no code of its function
        ("bench/scoring/sandbox/jail.py", set()),
        ("containers/locks/venv.txt", set()),
        ("bench/containers/images.py", set()),
        ("bench/train/fit.py", set()),
    ],
)
def test_a_tag_changes_with_what_decides_the_image(tree, file, changed):
    before = tags()
    with (tree / file).open("a") as content:
        content.write("\n# changed\n")
    after = tags()
    assert {name for name in before if before[name] != after[name]} == changed


def test_tags_are_short_digests(tree):
    for name, tag in tags().items():
        assert tag.startswith(f"localhost/bench-{name}:")
        assert len(tag.rpartition(":")[2]) == 12


def test_a_foreign_base_is_another_image(tree, monkeypatch):
    foreign = Wanted(base_image=DIGEST)
    assert images.recipe("run", foreign) != images.recipe("run", CPU)
    assert images.of(["run", "score"], foreign) == ["run", "score"]
    assert images.of(["score"], CPU) == ["base", "score"]
    monkeypatch.setenv(images.BASE_VARIABLE, DIGEST)
    assert images.recipe("run", CPU) == images.recipe("run", foreign)
    assert {deb.name for deb in images.debs("run", CPU)} >= {"python3"}


@pytest.mark.parametrize("name", ["debian:bookworm", "debian:latest", "debian@sha256:abc"])
def test_a_base_without_a_digest_is_refused(name):
    with pytest.raises(BenchError, match="not named by its digest"):
        images.recipe("run", Wanted(base_image=name))


def test_an_unknown_image_is_named():
    with pytest.raises(BenchError, match="'scores'") as caught:
        images.of(["scores"], CPU)
    assert "score" in caught.value.hint


@dataclasses.dataclass
class Engine:
    """Answers for images that are there; whoever builds or pulls is found out."""

    present: dict[str, str]
    name: str = "podman"
    program: str = "false"
    options: tuple[str, ...] = ()

    def call(self, *arguments, check=True, timeout_s=None):
        if arguments[:2] == ("image", "ls"):
            return subprocess.CompletedProcess(arguments, 0, "\n".join(self.present), "")
        raise AssertionError(arguments)

    def held(self, reference):
        found = self.present.get(reference)
        return None if found is None else (found, 1000)


def test_what_is_there_is_not_built(tree):
    there = Engine({images.recipe(name, CPU): f"{name}-id" for name in ("run", "score")})
    found = images.ensure(there, ["run", "score"], CPU)
    assert {name: (image.id, image.bytes) for name, image in found.items()} == {
        "run": ("run-id", 1000),
        "score": ("score-id", 1000),
    }
    assert images.missing(there, ["run", "score"], CPU) == []


def test_an_image_of_an_older_recipe_is_missing(tree):
    there = Engine({images.recipe("run", CPU): "id"})
    (tree / "containers" / "venv.sh").write_text("# other\n")
    assert images.missing(there, ["run"], CPU) == ["run"]


def test_images_of_older_recipes_are_outdated_and_those_of_others_none_of_ours(tree):
    present = {images.recipe(name, CPU): "id" for name in images.NAMES}
    cuda = {images.recipe("run", Wanted(gpu=True)): "id"}
    others = dict.fromkeys(("localhost/bench-lap:0123456789ab", "debian:12", "<none>:<none>"), "id")
    older = dict.fromkeys(("localhost/bench-run:0123456789ab", "localhost/bench-base:" + 12 * "f"))
    there = Engine({**present, **cuda, **others, **older})
    assert images.outdated(there, CPU) == sorted(older)
    assert images.outdated(there, Wanted(gpu=True)) == sorted(older)


def test_offline_and_nothing_fetched_says_so_before_anything_is_built(tree, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MachineError, match="--offline") as caught:
        images.ensure(Engine({}), ["run"], CPU, offline=True)
    assert "fetch -- images" in caught.value.hint


@pytest.fixture
def built(tree, monkeypatch, tmp_path):
    """The command line and the context of a build, without building."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    seen = {}

    def build(_engine, command, name, _cache):
        context = images.Path(command[-1])
        seen[name] = command, {str(p.relative_to(context)) for p in context.rglob("*")}
        seen["wheels.txt"] = (context / "wheels.txt").read_text()
        seen["sources.txt"] = (context / "sources.txt").read_text()

    monkeypatch.setattr(images, "_build", build)
    return seen


def test_a_build_has_no_network_and_one_time(built, tree, tmp_path):
    folder = images.store("wheels").folder
    folder.mkdir(parents=True)
    lock = ""
    for file, line in (("x-1-py3-none-any.whl", "x==1"), ("y-2.tar.gz", "y==2")):
        (folder / file).write_text(file)
        lock += f"{line} \\\n    --hash=sha256:{images.wheels.digest_of(folder / file)}\n"
    (tree / "containers" / "locks" / "run.txt").write_text(lock)
    (tree / "containers" / "locks" / "torch-cpu.txt").write_text("")
    there = Engine({"localhost/t": "id"})
    images.build(there, "run", CPU, tag="localhost/t")
    command, context = built["run"]
    assert {"--network=none", "--no-cache", "--timestamp", "--pull=never"} <= set(command)
    assert str(images.EPOCH) in command
    assert f"BASE_IMAGE={images.recipe('base', CPU)}" in command
    assert "GPUS=void" in command
    assert {"wheels/x-1-py3-none-any.whl", "wheels/y-2.tar.gz", "venv.sh", "debs.sh"} <= context
    assert "x==1" in built["wheels.txt"]
    assert "y==2" in built["sources.txt"]
    images.build(there, "run", Wanted(gpu=True), tag="localhost/t")
    assert "GPUS=all" in built["run"][0]


def test_a_failed_build_names_its_log(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    with pytest.raises(MachineError, match="image run failed") as caught:
        images._build(Engine({}), ["build"], "run", tmp_path)
    assert "run.log" in caught.value.hint


def test_scoring_sees_the_kits_sources_that_it_compiles(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    images._stage_tools(tmp_path / "context")
    below = tmp_path / "context" / "source"
    for file in (
        "bench/containers/tools.py",
        "datasets/tools.toml",
        "bench/scoring/sandbox/kept.py",
    ):
        assert (below / file).is_file()
    assert list((below / "bench/scoring/sandbox/inside/csharp").glob("*.cs"))
    assert not (below / "bench/train").exists()


def test_the_modules_agree_on_what_is_read():
    assert wheels.read(images.LOCKS / "run.txt")
    assert debian.read(images.LOCKS / "base.debs.txt")
