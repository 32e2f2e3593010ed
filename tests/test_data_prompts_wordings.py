"""Which wording is taught and which is asked, and the published one as its file has it."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path

import pytest

from bench.data import sources, suites
from bench.data.prompts import Prompts, wordings
from bench.data.prompts import published as publishedprompts
from bench.data.rows import prompt_text
from bench.errors import BenchError, DataError
from bench.records import SUMMARIZATION, TASKS, TRACKS, TRANSLATION, Sample, Track

PYTHON, JAVA = Track("generation", "python"), Track("generation", "java")
TEXT = Track("summarization", "python")
CS_JAVA = Track("translation", "cs_java")

#: An invented prompt file: everything that the published one may say, in other words.
INVENTED = {
    "training": {
        **{
            f"summarization/{language}": {
                "system": f"Tell about {language}.",
                "user": f"Tell ({language}):\n{{code}}",
                "assistant": "BEGIN {docstring} END",
                "code": "code_tokens joined by one space",
                "docstring": "docstring_tokens joined by one space",
            }
            for language in ("java", "python")
        },
        "generation/python": {
            "system": "Make Python.",
            "user": "{summary} as {signature}",
            "assistant": "{output}",
        },
        "generation/java": {
            "system": "Make Java.",
            "user": {"multi-task": "many: {summary}", "single-task": "one: {summary}"},
            "assistant": "{output}",
        },
        "translation/java_cs": {"system": "Turn.", "user": "J: {java}", "assistant": "{cs}"},
        "translation/cs_java": {"system": "Turn.", "user": "C: {cs}", "assistant": "{java}"},
    },
    "inference": {
        **{
            f"summarization/{language}": {
                "system": f"Tell about {language}.",
                "user": f"Tell ({language}):\n{{code}}",
                "code": "raw source",
                "rendering": "tokenizer chat template",
            }
            for language in ("java", "python")
        },
        **{
            f"generation/{language}": {
                "system": "Make.",
                "user": "{input}",
                "input": "CoderEval's input field as it is",
                "rendering": "tokenizer chat template",
            }
            for language in ("java", "python")
        },
        "translation/java_cs": {"system": "Turn.", "user": "J: {java}", "rendering": "plain"},
        "translation/cs_java": {"system": "Turn.", "user": "C: {cs}", "rendering": "plain"},
    },
    "renderings": {
        "plain": {"system": ["<", ">"], "user": ["[", "]"], "generation_prompt": "Now: "}
    },
    "extraction": {
        "summarization": "between the last 'BEGIN' and the first 'END'",
        "generation": "up to 'You:'; without a leading 'Me:'",
        "translation": "behind the last 'Me:'",
    },
}


class Tokenizer:
    """A chat template whose turns are easy to see."""

    def apply_chat_template(self, chat, tokenize, add_generation_prompt=False):
        turns = "".join(f"|{turn['role']}:{turn['content']}" for turn in chat)
        return turns + ("|assistant:" if add_generation_prompt else "")


def written(folder: Path, **changes) -> Path:
    """The invented file, with some ``a__b__c`` of it replaced or (None) left out."""
    content = copy.deepcopy(INVENTED)
    for name, value in changes.items():
        *parents, last = name.split("__")
        inner = functools.reduce(lambda table, key: table[key], parents, content)
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    path = folder / "prompts.json"
    path.write_text(json.dumps(content))
    return path


def test_the_placeholders_become_the_samples_inputs(tmp_path):
    read = publishedprompts.read(written(tmp_path))
    assert read.training[TEXT, True].user == "Tell (python):\n{code_tokens}"
    assert read.training[TEXT, True].assistant == "BEGIN {docstring_tokens} END"
    assert read.inference[TEXT].user == "Tell (python):\n{source}"
    assert read.inference[PYTHON].user == "{input}"
    assert read.training[JAVA, True].user == "one: {summary}"
    assert read.training[JAVA, False].user == "many: {summary}"
    assert read.training[CS_JAVA, False].user == "C: {code}"
    assert read.training[CS_JAVA, False].assistant == "{reference}"
    marks = read.marks
    assert (marks.begin, marks.end, marks.asked, marks.answered) == ("BEGIN", "END", "You:", "Me:")


def test_a_rendering_takes_the_place_of_the_chat_template(tmp_path):
    read = publishedprompts.read(written(tmp_path))
    prompts = Prompts("x", "y", read.inference)
    sample = Sample("a", CS_JAVA, {"code": "int F() {}"}, "int f() {}")
    assert prompt_text(sample, prompts, Tokenizer()) == "<Turn.>[C: int F() {}]Now: "
    raw = Sample("b", TEXT, {"source": "def f(): pass"}, "Does nothing.")
    assert prompt_text(raw, prompts, Tokenizer()) == (
        "|system:Tell about python.|user:Tell (python):\ndef f(): pass|assistant:"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"renderings": None}, "'renderings' is missing"),
        ({"training__generation/java": None}, "'generation/java' is missing"),
        ({"training__generation/python__user": 3}, "generation/python: 'user' is not a text"),
        ({"training__generation/python__user": "{idea}"}, "'user' asks for 'idea'"),
        ({"training__generation/java__user__single-task": None}, "'single-task' is missing"),
        ({"inference__summarization/java__code": "as a song"}, "'as a song': not understood"),
        ({"inference__translation/java_cs__rendering": "loud"}, "no rendering 'loud'"),
        ({"renderings__plain__user": ["["]}, "'user' is not two texts"),
        ({"extraction__generation": "nothing"}, "extraction generation: 0 quoted words"),
        ({"extraction__translation": "behind 'I:'"}, "two words for the assistant's turn"),
        (
            {"training__summarization/java__assistant": "{docstring} END"},
            "trained between other words",
        ),
    ],
)
def test_a_file_that_is_not_as_expected_is_told_at_its_place(tmp_path, changes, told):
    path = written(tmp_path, **changes)
    with pytest.raises(DataError) as caught:
        publishedprompts.read(path)
    assert told in caught.value.problem
    assert str(path) in caught.value.problem


def test_the_kits_wording_is_the_same_on_both_sides():
    taught, asked = (find("kit", TASKS, None) for find in (wordings.taught, wordings.asked))
    assert taught == asked == Prompts.load("kit")
    assert wordings.files("kit") == ()
    assert wordings.own_digests("kit") == {"datasets/prompts/kit.toml": taught.digest}


def test_an_unknown_wording_names_the_nearest():
    with pytest.raises(BenchError, match="unknown prompts 'publshed' — did you mean: published"):
        wordings.asked("publshed", TASKS, None)


def test_without_the_data_the_published_wording_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    with pytest.raises(DataError) as caught:
        wordings.taught("published", TASKS, None)
    assert publishedprompts.FILE in caught.value.problem
    assert "fetch" in caught.value.hint


# The published file itself


def test_the_published_file_has_every_track_in_both_phases(mirror):
    for alone in (["generation"], TASKS):
        taught = wordings.taught("published", alone, mirror)
        asked = wordings.asked("published", alone, mirror)
        assert set(taught.wordings) == set(asked.wordings) == set(TRACKS)
        assert taught == wordings.taught("corrected", alone, mirror)
        assert taught == wordings.asked("corrected", alone, mirror)
    assert taught.wordings[JAVA] != wordings.taught("published", ["generation"], mirror)
    assert wordings.files("published") == (publishedprompts.FILE,)
    listed = sources.manifest()[publishedprompts.FILE]
    assert taught.digest == listed.sha256


def test_models_of_one_task_and_of_several_differ_in_one_wording(mirror):
    alone = wordings.taught("published", ["generation"], mirror).wordings
    together = wordings.taught("published", TASKS, mirror).wordings
    assert [track for track in TRACKS if alone[track] != together[track]] == [JAVA]


def test_what_differs_between_training_and_inference(mirror):
    taught = wordings.taught("published", TASKS, mirror).wordings
    asked = wordings.asked("published", TASKS, mirror).wordings
    for track in TRACKS:
        assert taught[track].system == asked[track].system
        assert taught[track].rendering is None
        assert (asked[track].rendering is not None) == (track.task == TRANSLATION)
        same = taught[track].user == asked[track].user
        assert same == (track.task == TRANSLATION)
        if track.task == SUMMARIZATION:
            swapped = taught[track].user.replace("{code_tokens}", "{source}")
            assert swapped == asked[track].user


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_every_problem_of_the_study_can_be_asked(mirror, variant):
    """CoderEval and CodeXGLUE have every input that either wording needs."""
    find = functools.partial(sources.locate, mirror=mirror)
    prompts = wordings.asked(variant, TASKS, mirror)
    texts = {}
    for name in ("codereval", "codexglue-trans"):
        for track in suites.SUITES[name].files:
            for problem in suites.SUITES[name].problems(track, find):
                texts[name, problem.id] = prompt_text(problem, prompts, Tokenizer())
    assert len(texts) == 190 + 184 + 100 + 99 + 2000
    assert ("|user:" in next(iter(texts.values()))) is True
    rendered = [text for (name, _), text in texts.items() if name == "codexglue-trans"]
    assert all(text.startswith("|system:") == (variant == "corrected") for text in rendered)


def test_published_summaries_hold_the_docstring_and_corrected_ones_do_not(mirror):
    find = functools.partial(sources.locate, mirror=mirror)
    problems = suites.codereval(TEXT, find)
    held = [
        sum('"""' in problem.inputs[name] or "'''" in problem.inputs[name] for problem in problems)
        for name in ("source", "code_tokens")
    ]
    assert held[0] >= 95
    assert held[1] <= 7  # texts inside functions
