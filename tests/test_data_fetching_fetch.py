"""Fetching a study's data: planned, resumable, refused when wrong, silent offline."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from bench import cli
from bench.data import digests, sources
from bench.data.fetching import derive, fetch, needs
from bench.data.fetching import tasks as fetchtasks
from bench.data.fetching.download import Patience
from bench.data.fetching.needs import Needs
from bench.data.hub import lock as hublock
from bench.data.prompts import scripts as packagescripts
from bench.data.sources import Source
from bench.errors import BenchError, DataError, MachineError
from bench.grid import study
from tests.stand_in import Behaviour, StandIn, serving

COMMIT = "c" * 40
PLAIN = b'{"a": 1}\n{"a": 2}\n'
IDS = b"https://example.org/1\nhttps://example.org/2\n"
SCRIPT = b"print('never run')\n"
PATIENCE = Patience(timeout_s=2.0, attempts=2, sleep=lambda _: None)


def entry(path, content, form="same", rows=2, source=None, repository="o/r"):
    sha256 = hashlib.sha256(content).hexdigest()
    where = source or f"up/{path}"
    return Source(path, rows, "lines", len(content), sha256, repository, COMMIT, where, form, "MIT")


ENTRIES = {
    one.path: one
    for one in (
        entry("set/a.jsonl", PLAIN),
        entry("set/b #1.jsonl", PLAIN + PLAIN, rows=4),
        entry("set/ids.txt.gz", derive.packed(IDS), form="gzip", source="up/ids.txt"),
        entry(needs.SCRIPTED, b"{}", form="derived", repository="o/package"),
        entry("other/c.csv", b"x\ny\n", form="derived", repository="o/else"),
    )
}
ALL = Needs(("set/a.jsonl", "set/b #1.jsonl", "set/ids.txt.gz"), ())


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hublock, "PATH", tmp_path / "project" / "hub.lock.json")


@pytest.fixture
def listed(monkeypatch):
    for module in (sources, needs, fetch):
        monkeypatch.setattr(module, "manifest", lambda: ENTRIES)
    script = {"multitask/train.py": hashlib.sha256(SCRIPT).hexdigest()}
    monkeypatch.setattr(packagescripts, "listed", lambda: script)


@pytest.fixture
def server(monkeypatch):
    with serving(StandIn()) as stand_in:
        monkeypatch.setenv("BENCH_GIT_URL", stand_in.url)
        monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
        at = f"/o/r/{COMMIT}/up"
        stand_in.files |= {
            f"{at}/set/a.jsonl": PLAIN,
            f"{at}/set/b%20%231.jsonl": PLAIN + PLAIN,
            f"{at}/ids.txt": IDS,
            f"/o/package/{COMMIT}/multitask/train.py": SCRIPT,
        }
        yield stand_in


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def get(data, wanted=ALL, **options):
    return fetch.fetch(wanted, data, patience=PATIENCE, **options)


def files(data):
    found = (path for path in data.rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(str(path.relative_to(data)) for path in found)


def test_files_land_where_a_mirror_has_them_and_are_verified(listed, server, data):
    events = []
    summary = get(data, on_event=events.append)
    assert not summary.failed
    assert set(ALL.paths) <= set(summary.fetched)
    assert files(data) == sorted(ALL.paths)
    assert gzip.decompress((data / "set" / "ids.txt.gz").read_bytes()) == IDS
    for path in ALL.paths:
        assert sources.locate(path, data) == data / path
    planned = events[0]
    assert planned.kind == "planned"
    assert planned.total == len(PLAIN) * 3
    assert planned.note == "and 1 of unknown size"
    assert {event.kind for event in events[1:]} == {"started", "progress", "done"}


def test_a_second_fetch_asks_for_nothing(listed, server, data):
    get(data)
    server.requests.clear()
    summary = get(data)
    assert summary.here == ALL.paths
    assert not summary.fetched
    assert server.requests == []


def test_only_what_changed_is_fetched_again(listed, server, data):
    get(data)
    (data / "set" / "a.jsonl").write_bytes(PLAIN[:-3])
    server.requests.clear()
    summary = get(data)
    assert summary.fetched == ("set/a.jsonl",)
    assert len(server.requests) == 1
    assert (data / "set" / "a.jsonl").read_bytes() == PLAIN


def test_a_wrong_file_is_refused_and_the_rest_goes_on(listed, server, data):
    server.files[f"/o/r/{COMMIT}/up/set/a.jsonl"] = PLAIN.replace(b"2", b"3")
    summary = get(data)
    [(what, error)] = summary.failed
    assert what == "set/a.jsonl"
    assert isinstance(error, DataError)
    assert "refused, nothing was put in place" in error.problem
    assert files(data) == ["set/b #1.jsonl", "set/ids.txt.gz"]


def test_a_wrong_source_of_a_packed_file_is_refused_and_not_kept(listed, server, data):
    server.files[f"/o/r/{COMMIT}/up/ids.txt"] = IDS + b"one more\n"
    summary = get(data)
    [(what, error)] = summary.failed
    assert what == "set/ids.txt.gz"
    assert "made from up/ids.txt it has the SHA-256" in error.problem
    assert files(data) == ["set/a.jsonl", "set/b #1.jsonl"]
    server.files[f"/o/r/{COMMIT}/up/ids.txt"] = IDS
    assert not get(data).failed


def test_a_missing_file_and_what_is_made_from_it(listed, server, data):
    del server.files[f"/o/r/{COMMIT}/up/ids.txt"]
    failed = dict(get(data).failed)
    assert "404 Not Found" in failed["o/r: up/ids.txt"].problem
    assert "made from could not be fetched" in failed["set/ids.txt.gz"].problem


def test_a_file_without_a_recipe_is_named_with_the_reason(listed, server, data):
    server.files[f"/o/else/{COMMIT}/up/other/c.csv"] = b"anything"
    failed = dict(get(data, Needs(("other/c.csv",), ())).failed)
    assert "no recipe to make it" in failed["other/c.csv"].problem
    assert "--mirror DIR" in failed["other/c.csv"].hint


def test_the_wording_comes_as_the_package_s_scripts(listed, server, data):
    wanted = Needs((needs.SCRIPTED,), ())
    assert not get(data, wanted).failed
    assert files(data) == ["paper_package/multitask/train.py"]
    assert get(data, wanted).here == (needs.SCRIPTED,)
    (data / "paper_package" / "multitask" / "train.py").write_bytes(b"changed")
    assert not needs.is_here(needs.SCRIPTED, data)
    assert not get(data, wanted).failed


def test_a_host_that_cannot_be_reached_is_given_up_as_a_whole(listed, server, data):
    for path in list(server.files):
        server.behaviour[path] = Behaviour(status=503)
    summary = get(data)
    assert {what for what, _ in summary.failed} >= set(ALL.paths)
    assert len(server.requests) <= fetch.AT_ONCE * PATIENCE.attempts


def test_a_disk_without_room_stops_before_the_first_byte(listed, server, data, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=fetch.RESERVE_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(MachineError, match=r"0\.0 GB are to be downloaded, 0\.3 GB are free — fr"):
        get(data)
    assert server.requests == []


def test_a_folder_that_cannot_be_written(listed, server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        get(tmp_path / "file" / "data")


def test_two_fetches_do_not_write_one_folder(listed, server, data):
    data.mkdir()
    with (data / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(MachineError, match="another fetch is at work there"):
            get(data)


@pytest.fixture
def unplugged(monkeypatch):
    """Any use of a socket is a failure."""

    def refuse(*arguments, **_):
        pytest.fail(f"the network was touched: {arguments}")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


def test_offline_touches_no_socket_and_says_what_is_missing(listed, unplugged, data):
    summary = get(data, offline=True)
    assert [what for what, _ in summary.failed] == list(ALL.paths)
    assert "--offline forbids" in summary.failed[0][1].problem
    assert not data.exists()


def test_offline_with_everything_here(listed, server, data, monkeypatch):
    get(data)
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("the network was touched"))
    assert get(data, offline=True).here == ALL.paths


def test_an_offline_command_makes_no_connection_in_any_library(tmp_path):
    """A process of its own, so that the hub's libraries read their settings anew."""
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(*arguments):\n"
        "    raise SystemExit(f'the network was touched: {arguments}')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": f"{guard}:{Path(__file__).parents[1]}",
        "BENCH_CACHE": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hf"),
    }
    for command in (["fetch", "--study", "paper"], ["fetch", "--all", "--list"]):
        done = subprocess.run(
            [sys.executable, "-m", "bench", *command, "--offline"],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert "the network was touched" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode == (0 if "--list" in command else 3), done.stderr


def test_what_a_study_needs():
    assert needs.of_study(study.load("smoke")) == Needs((), ())
    mini = needs.of_study(study.load("mini"))
    assert not mini.repositories
    assert "codexglue/code-to-text/official_ids/java.test.txt.gz" in mini.paths
    paper = needs.of_study(study.load("paper"))
    names = {one.name for one in paper.repositories}
    assert names >= {
        "google/code_x_glue_ct_code_to_text",
        "google-bert/bert-base-uncased",
        "Qwen/Qwen2.5-Coder-1.5B-Instruct",
        "Qwen/Qwen2.5-Coder-3B-Instruct",
        "Qwen/Qwen2.5-Coder-7B-Instruct",
    }
    assert all(one.revision for one in paper.repositories if one.kind == "model")
    with_half = needs.of_study(study.load("paper", ["0.5b"]))
    assert len(with_half.repositories) == len(paper.repositories) + 1


def test_what_is_missing_to_run_a_study(tmp_path):
    assert fetch.missing(study.load("smoke"), None) == []
    absent = {one.what: one for one in fetch.missing(study.load("paper"), None)}
    largest = absent["Qwen/Qwen2.5-Coder-7B-Instruct (model of the hub)"]
    assert largest.bytes == pytest.approx(15.2e9, rel=0.01)
    assert largest.how == "nox -s fetch -- --study paper"
    assert absent["microsoft/CodeXGLUE: 6 files"].bytes > 4_000_000
    part = fetch.missing(study.load("paper", ["rq3"]), None, {"3b"})
    assert {one.how for one in part} == {"nox -s fetch -- --study paper --with rq3 --cells '*-3b'"}
    assert sum("Qwen" in one.what for one in part) == 1


def test_a_mirror_lacks_only_what_it_does_not_have(mirror):
    assert fetch.missing(study.load("mini"), mirror) == []
    absent = [one.what for one in fetch.missing(study.load("paper"), mirror)]
    assert all("of the hub" in what for what in absent)


def test_a_part_is_chosen_by_path_or_repository():
    everything = needs.everything()
    trans = needs.only(everything, ["microsoft/CodeXGLUE"])
    assert len(trans.paths) == 6
    assert not trans.repositories
    assert needs.only(everything, ["*7B*"]).repositories[0].name.endswith("7B-Instruct")
    java = needs.only(everything, ["*java/test_subset.jsonl"])
    assert java.paths[0].endswith("official_ids/java.test.txt.gz")
    with pytest.raises(BenchError, match=r"unknown data .* '\*30B\*'"):
        needs.only(everything, ["*30B*"])


def test_every_source_has_a_licence_and_a_citation():
    for origin in needs.origins(needs.everything(), None):
        assert origin.licence
        assert re.search(r"arXiv:\d{4}\.\d{5}", origin.cite), origin.name


# against the public files


def java_upstream(mirror, split):
    """The upstream file of a Java subset as it has it: a line for each commented statement."""
    path = mirror / f"codexglue/code-to-text/java/{split}_subset.jsonl"
    lines = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        row = {**row, "Allcodes": row["code"], "code": "return 0;", "comments": "c", "lines": 3}
        del row["url"], row["partition"]
        lines += [row, {**row, "comments": "another"}]
    lines.insert(1, {**lines[0], "repo": "not/official", "original_string": "void f() {}"})
    return "".join(json.dumps(row) + "\n" for row in lines).encode()


def pass_files(mirror):
    """CoderEval's result files, as far as the pass vectors need them."""
    found = defaultdict(list)
    table = (mirror / "codereval_upstream/is_pass.csv").read_text().splitlines()
    for line in table[1:]:
        language, model, wording, task, level, project, _, passes = line.split(",")
        name = f"GenerateResult{language.title()}/{model}/{wording}_Input.jsonl_out.jsonl"
        results = [{"generate_code": "x", "is_pass": one == "1"} for one in passes]
        row = {"_id": task, "level": level, "project": project, "generate_results": results}
        found[f"experimental-results/{name}"].append(json.dumps(row))
    return {name: "\n".join(rows).encode() + b"\n" for name, rows in found.items()}


@pytest.fixture
def upstream(server, mirror):
    """The git repositories behind the whole manifest, made from a mirror."""
    for source in sources.manifest().values():
        at = f"/{source.repository}/{source.commit}"
        content = (mirror / source.path).read_bytes()
        where = fetchtasks._git_remote(source, source.source, None, None).url
        if source.form == "gzip":
            content = gzip.decompress(content)
        if "/java/" in source.path and source.form == "derived":
            content = java_upstream(mirror, Path(source.path).name.split("_")[0])
        if source.path.endswith("is_pass.csv"):
            names = pass_files(mirror).items()
            server.files |= {f"{at}/{name}": content for name, content in names}
        elif source.path != needs.SCRIPTED:
            server.files[where.removeprefix(server.url)] = content
    return server


def test_the_mini_study_is_fetched_as_the_mirror_has_it(upstream, mirror, data):
    mini = study.load("mini")
    summary = get(data, needs.of_study(mini))
    assert not summary.failed
    for path in needs.of_study(mini).paths:
        assert (data / path).read_bytes() == (mirror / path).read_bytes()
    digests.verify(mini, data)
    assert not (data / ".upstream").exists()


def test_every_file_but_the_wording_can_be_made_from_its_source(upstream, mirror, data):
    wanted = Needs(tuple(path for path in sources.manifest() if path != needs.SCRIPTED), ())
    summary = get(data, wanted)
    assert not summary.failed
    for path in wanted.paths:
        assert (data / path).read_bytes() == (mirror / path).read_bytes()


def test_a_user_fetches_lists_and_runs_without_a_mirror(upstream, capsys, monkeypatch):
    assert cli.main(["fetch", "--study", "mini", "--only", "*human-eval"]) == 0
    printed = capsys.readouterr().out
    assert "0 here already, 1 file to download: 44.9 kB" in printed
    assert "everything is in" in printed
    assert sources.locate("humaneval/HumanEval.jsonl.gz", None).is_file()
    assert cli.main(["fetch", "--study", "mini", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "openai/human-eval (git at 6d43fb980f9f, 1 file, 44.9 kB): here" in printed
    assert "licence: MIT" in printed
    assert "arXiv:2107.03374" in printed
    assert cli.main(["fetch", "--study", "mini", "--offline"]) == 3
    assert cli.main(["fetch", "--study", "mini"]) == 0
    digests.verify(study.load("mini"), None)


def test_a_user_sees_what_failed_and_what_to_do(upstream, capsys):
    upstream.behaviour.clear()
    for path in list(upstream.files):
        if "human-eval" in path:
            del upstream.files[path]
    assert cli.main(["fetch", "--study", "mini", "--only", "*umaneval*"]) == 3
    printed = capsys.readouterr().out
    assert "failed humaneval/HumanEval.jsonl.gz" in printed
    assert "404 Not Found" in printed
    assert "1 could not be had" in printed
    assert "next: it is no longer where it was: use a mirror that has it" in printed
