"""CoderEval's tests run in its own environment, a folder or an image; without it nobody fails."""

from __future__ import annotations

import json
import os
import stat
import sys
import time

import pytest

from bench.errors import MachineError
from bench.records import GENERATION, Sample, Track
from bench.scoring import codereval, execution, testfolder
from bench.scoring.sandbox import engine
from bench.scoring.sandbox.jail import Jail, find_jail, unsafe_jail
from bench.scoring.sandbox.limits import Limits
from tests import codereval_standin as standin
from tests import grading

PYTHON, JAVA = Track(GENERATION, "python"), Track(GENERATION, "java")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, tmp_path):
    """No environment but a test's own, and none of what another one has learned."""
    monkeypatch.delenv(codereval.VARIABLE, raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    for known in (codereval._named, codereval._records, engine.find):
        known.cache_clear()
    codereval._tried.clear()
    yield
    for known in (codereval._named, codereval._records, engine.find):
        known.cache_clear()


def problem(task: str, track: Track = PYTHON, number: int = 0) -> Sample:
    check = {"kind": codereval.KIND, "task": task}
    return Sample(f"{task}.{number}@{track}", track, {}, "", None, check)


def graded(task, *outputs, track=PYTHON, jail=None):
    problems = [problem(task, track, number) for number in range(len(outputs))]
    pairs = zip(problems, outputs, strict=True)
    verdicts = execution.grade(problems, {one.id: output for one, output in pairs}, jail)
    return [verdicts[one.id] for one in problems]


# without an environment


def test_without_an_environment_outputs_are_not_run_and_the_way_to_it_is_told():
    (verdict,) = graded("5a01", "def f(): pass")
    assert verdict.outcome == "not-run"
    assert verdict.passed is None
    assert verdict.detail.startswith("not run: ")
    assert "--codereval" in verdict.detail
    assert codereval.found() is None
    check = execution.self_check("codereval", [problem("5a01")])
    assert check.not_run == {codereval.NOT_GIVEN: 1}


def test_what_is_named_has_to_be_there(monkeypatch, tmp_path):
    archive = tmp_path / "CoderEval.tar"
    archive.touch()
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, problem in (
        (tmp_path / "nothing", "neither a folder nor an image"),
        (archive, "is a file, not an image"),
        (empty, "holds none of PythonExec.py, JavaExec.py"),
    ):
        monkeypatch.setenv(codereval.VARIABLE, str(name))
        with pytest.raises(MachineError, match=problem):
            codereval.found()


# a folder, in the sandbox


@pytest.fixture
def folder(monkeypatch, tmp_path_factory):
    """The stand-in as the user's folder."""
    grading.need("python")
    builds = standin.build(tmp_path_factory.mktemp("codereval") / "builds")
    builds.parent.chmod(0o755)
    monkeypatch.setenv(codereval.VARIABLE, str(builds))
    return builds


SHOUT = 'def shout(self, text):\n    return loud(text) + "!"'


def test_python_outputs_are_tested_in_their_project(folder):
    outputs = {
        SHOUT: "passed",
        'def shout(self, text):\n    return text.upper() + "!"': "passed",
        "def shout(self, text):\n    return loud(text)": "failed",
        "def shout(self, text)\n    return": "failed",
        "def whisper(self, text):\n    return text": "failed",
        "": "failed",
        "\ud800": "error",
    }
    verdicts = graded(standin.SHOUT, *outputs)
    assert [verdict.outcome for verdict in verdicts] == list(outputs.values())
    before = sorted(path.name for path in folder.rglob("*"))
    assert not [name for name in before if name.endswith("validte0.py")], "nothing is left behind"


def test_an_output_that_hangs_is_ended_and_one_that_destroys_harms_nobody(folder):
    hanging = "import time\nwhile True: time.sleep(1)"
    rubbing_out = (
        "import os, shutil\n"
        f"shutil.rmtree('{testfolder.BUILDS}/repos', ignore_errors=True)\n"
        "os.kill(os.getppid(), 9)"
    )
    right = "def double(number):\n    return number + number"
    verdicts = graded(standin.DOUBLE, hanging, rubbing_out, right)
    assert [verdict.outcome for verdict in verdicts] == ["timeout", "error", "passed"]
    assert (folder / "repos" / "standalone" / "tiny" / "numbers-double.py").is_file()


def test_a_fault_of_the_environment_is_not_the_outputs(folder):
    (gone,) = graded(standin.GONE, "def gone():\n    pass")
    (unknown,) = graded("ffff", "def f():\n    pass")
    # Its own solution fails; an output that passes is believed all the same.
    broken = graded(
        standin.BROKEN, "def double(number):\n    return 3", "def double(n):\n  return n+n"
    )
    assert [one.outcome for one in (gone, unknown, *broken)] == ["not-run"] * 3 + ["passed"]
    assert "the original function does not pass" in gone.detail
    assert unknown.detail == codereval.UNKNOWN


VOWELS = "    public static int vowels(String text) {\n"


@pytest.mark.slow
def test_java_outputs_are_compiled_and_tested_in_their_project(folder):
    grading.need("java")
    outputs = {
        VOWELS + '        return text.replaceAll("[^aeiou]", "").length();\n    }': "passed",
        VOWELS + "        return 3;\n    }": "failed",
        VOWELS + "        return text;\n    }": "compile-error",
    }
    verdicts = graded(standin.VOWELS, *outputs, track=JAVA)
    assert [verdict.outcome for verdict in verdicts] == list(outputs.values())


@pytest.mark.slow
def test_java_that_hangs_or_has_no_project(folder):
    grading.need("java")
    (hanging,) = graded(standin.VOWELS, VOWELS + "        while (true) { }\n    }", track=JAVA)
    assert hanging.outcome == "failed"
    (lost,) = graded(standin.LOST, VOWELS + "        return 3;\n    }", track=JAVA)
    assert lost.outcome == "not-run"


def test_the_environments_own_solutions_can_be_graded(folder):
    found = [problem(task) for task in (standin.SHOUT, standin.DOUBLE, standin.BROKEN)]
    check = execution.self_check("codereval", found)
    assert (check.passed, check.total) == (2, 3)


def test_an_original_function_is_tried_once_per_environment(folder, monkeypatch):
    asked = []
    ask = codereval._ask
    monkeypatch.setattr(codereval, "_ask", lambda *given: asked.append(given[-1]) or ask(*given))
    wrong = [f"def double(number):\n    return {number}" for number in range(2)]
    graded(standin.DOUBLE, *wrong)
    codereval._tried.clear()  # another process
    graded(standin.DOUBLE, wrong[0])
    assert len(asked) == 4
    assert sum("return 2 * number" in code for code in asked) == 1


def test_a_folder_needs_a_sandbox(folder):
    (verdict,) = graded(standin.DOUBLE, "pass", jail=Jail("none", unavailable="no bubblewrap"))
    assert (verdict.outcome, verdict.detail) == ("not-run", "no bubblewrap")
    (verdict,) = graded(standin.DOUBLE, "pass", jail=unsafe_jail())
    assert verdict.outcome == "not-run"
    assert "needs a sandbox" in verdict.detail


def test_an_environment_with_one_language_says_so_for_the_other(folder):
    (folder / "java" / "CoderEval4Java.json").write_text("{")
    (verdict,) = graded(standin.VOWELS, "x", track=JAVA)
    assert verdict.outcome == "not-run"
    assert "no readable CoderEval4Java.json" in verdict.detail


def test_the_digest_follows_what_the_folder_holds(folder):
    before = codereval.found()
    assert codereval.found() == before
    codereval._named.cache_clear()
    (folder / "repos" / "standalone" / "tiny" / "numbers-double.py").write_text("changed")
    assert codereval.found() != before


def test_only_the_problems_project_is_copied_the_others_are_links(folder):
    given = testfolder.folder(folder, ["PythonExec.py"])
    seen = given.run(
        find_jail(),
        "someone/tiny",
        "cd /home/travis/builds && find . -type l | sort",
        b"",
        Limits(),
    )
    links = {line.decode() for line in seen.channel.split()}
    assert links == {"./java", "./repos/another---project"}
    whole = given.run(
        find_jail(), "nobody/nothing", f"find {testfolder.BUILDS} -type l", b"", Limits()
    )
    assert whole.channel == b""


def test_a_whole_file_system_is_found_by_its_builds_folder(tmp_path):
    builds = standin.build(tmp_path / "home" / "travis" / "builds")
    given = testfolder.folder(tmp_path, ["PythonExec.py"])
    assert (given.builds, given.root) == (builds, tmp_path)


# an image, by a fake engine

FAKE = f"""#!{sys.executable}
import json, os, sys, time
from pathlib import Path

here = Path(__file__).parent
with (here / "calls.jsonl").open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "image":
    print("sha256:" + "ab" * 32)
elif sys.argv[1] == "run":
    script = sys.argv[-1]
    if "CoderEval4" in script:
        print(json.dumps({{"RECORDS": [{{"_id": "t", "project": "a/b", "code": "original"}}]}}))
        sys.exit(0)
    (here / "pid").write_text(str(os.getpid()))
    asked = json.loads(sys.stdin.readline())
    code = asked["generate_results"][0]
    if code == "hang":
        time.sleep(60)
    if code == "refuse":
        sys.exit(125)
    if code == "eat":
        sys.exit(137)
    if code == "forge":
        print(json.dumps({{"_id": "t", "generate_results": [{{"is_pass": True}}]}}))
    print("a line of something else")
    passed = code in ("right", "original")
    print(json.dumps({{"_id": "t", "generate_results": [{{"is_pass": passed}}]}}))
"""


@pytest.fixture
def image(monkeypatch, tmp_path):
    """An image of a fake podman; its calls so far."""
    program = tmp_path / "bin" / "podman"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv(codereval.VARIABLE, "codereval:latest")

    def calls():
        return [json.loads(line) for line in (program.parent / "calls.jsonl").open()]

    calls.folder = program.parent
    return calls


def test_an_image_runs_each_output_in_a_confined_container_of_its_own(image):
    verdicts = graded("t", "right", "wrong")
    assert [verdict.outcome for verdict in verdicts] == ["passed", "failed"]
    assert codereval.found() == "ab" * 32
    runs = [call for call in image() if call[0] == "run" and "PythonExec.py" in call[-1]]
    assert len(runs) == 3, "the original function was tried once"
    names = set()
    for run in runs:
        options = run[: run.index("codereval:latest")]
        (name,) = (one for one in options if one.startswith("--name=bench-"))
        names.add(name)
        assert {
            "--rm", "--interactive", "--pull=never", "--network=none", "--cap-drop=ALL",
            "--security-opt=no-new-privileges", "--memory=4294967296", "--memory-swap=4294967296",
            "--pids-limit=512", "--cpus=1", "--ulimit=cpu=120", "--ulimit=core=0", "--timeout=360",
        } <= set(options)  # fmt: skip
        assert not [one for one in options if one.startswith(("--volume", "-v", "--privileged"))]
        assert run[run.index("codereval:latest") + 1 : -1] == ["sh", "-c"]
        assert "/home/travis/builds" in run[-1]
    assert len(names) == 3
    assert not [call for call in image() if call[0] == "rm"], "they were removed as they ended"


def removed(calls):
    """The names of containers that were removed by name, and of those that tested outputs."""
    tested = [call for call in calls() if call[0] == "run" and "PythonExec.py" in call[-1]]
    names = [one.removeprefix("--name=") for call in tested for one in call if "--name=" in one]
    return [call[-1] for call in calls() if call[:2] == ["rm", "--force"]], names


def test_a_container_that_is_ended_is_removed_by_name(image, monkeypatch):
    monkeypatch.setattr(codereval, "LIMITS", Limits(wall_s=2, memory_bytes=1 << 32))
    (verdict,) = graded("t", "hang")
    assert verdict.outcome == "timeout"
    gone, started = removed(image)
    assert gone == started[:1]
    with pytest.raises(ProcessLookupError):
        os.kill(int((image.folder / "pid").read_text()), 0)


def test_a_stage_that_is_stopped_removes_its_container(image, monkeypatch):
    codereval.records(codereval.environment(), "python")

    def stop(*_):
        while not (image.folder / "pid").exists():
            time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.Prisoner, "wait", stop)
    with pytest.raises(KeyboardInterrupt):
        graded("t", "hang")
    gone, started = removed(image)
    assert gone == started


def test_what_the_engine_refuses_was_not_run_and_a_forged_line_is_no_verdict(image):
    refused, eaten, forged = graded("t", "refuse", "eat", "forge")
    assert refused.outcome == "not-run"
    assert eaten.outcome == "memory"
    assert forged.outcome == "error"
    assert "2 verdicts" in forged.detail


def test_docker_is_asked_where_podman_is_not(image, monkeypatch):
    (image.folder / "podman").rename(image.folder / "docker")
    monkeypatch.setenv("PATH", str(image.folder))
    (verdict,) = graded("t", "right")
    assert verdict.passed
    run = next(call for call in image() if call[0] == "run")
    assert not [one for one in run if one.startswith("--timeout")]
