"""The judge: marks read from any text, answers paid for once, endpoints that misbehave."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records import TRACKS, Generation, Sample
from bench.scoring import admission, judge, judgments, marks, metrics, score
from bench.scoring.admission import NotRunError
from tests.judges import GOOD, Endpoint

CODE = "def add(left, right):\n    return left + right\n"
KEY = "sk-very-secret-0123"
COLUMNS = metrics.COLUMNS["judge"]


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    for name in (judge.URL, judge.MODEL, judge.API_KEY, "BENCH_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    # Waiting is bounded by the same rules, only sooner.
    monkeypatch.setattr(judge, "REACH_S", 1.0)
    monkeypatch.setattr(judge, "REQUEST_S", 1.0)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    metrics.load.cache_clear()
    yield
    metrics.load.cache_clear()


@pytest.fixture
def endpoint(monkeypatch):
    """Start an endpoint with an answer, and name it in the environment."""
    running = []

    def start(answer, key=KEY):
        server = Endpoint(answer if callable(answer) else lambda _: answer)
        running.append(server.__enter__())
        monkeypatch.setenv(judge.URL, server.url)
        monkeypatch.setenv(judge.MODEL, "stand-in")
        if key:
            monkeypatch.setenv(judge.API_KEY, key)
        metrics.load.cache_clear()
        return server

    yield start
    for server in running:
        server.__exit__()


def graded(summaries, **options):
    languages = ["python"] * len(summaries)
    return metrics.compute(
        "judge", summaries, codes=[CODE] * len(summaries), languages=languages, **options
    )


# ----- reading -----


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (GOOD, (4, 5, 3)),
        (f"Here you are:\n```json\n{GOOD}\n```\nAnything else?", (4, 5, 3)),
        ('{"Content adequacy": "4/5", "conciseness": 5.0, "Fluency": "3 (fair)"}', (4, 5, 3)),
        ('{"adequacy": {"score": 4, "why": "…"}, "conciseness": 5, "fluency": 3}', (4, 5, 3)),
        (f'<think>maybe {{"adequacy": 1}} or 2</think>{GOOD}', (4, 5, 3)),
        ("Content adequacy: 4\nConciseness: 5\nFluency: 3", (4, 5, 3)),
        ("**Adequacy**: 4/5\n**Conciseness** – 5 out of 5\n**Fluency** (1-5): 3", (4, 5, 3)),
        ("adequacy = 4, conciseness = 5, fluency = 3.", (4, 5, 3)),
        ("Adequacy on a scale from 1 to 5: 4; CONCISENESS: 5; FLUENCY: 3", (4, 5, 3)),
        (f'{{"adequacy": 1, "conciseness": 1, "fluency": 1}} No: {GOOD}', (4, 5, 3)),
        ('{"adequacy": 4, "concise', (4, None, None)),
        ("Adequacy: n/a\nConciseness: 5\nFluency: none", (None, 5, None)),
        ('{"adequacy": 0, "conciseness": 7, "fluency": 45}', (None, None, None)),
        ('{"adequacy": 4.5, "conciseness": true, "fluency": null}', (None, None, None)),
        ("Adequacy: 10, conciseness: 50%", (None, None, None)),
        ("I cannot grade this.", (None, None, None)),
        ("", (None, None, None)),
        ("{" * 9_000 + '{"adequacy":' * 3_000, (None, None, None)),
        ("[" * 19_000 + "{", (None, None, None)),
    ],
)
def test_marks_are_read_from_any_text(answer, expected):
    found = marks.read(answer)
    assert tuple(found.get(name) for name in marks.CRITERIA) == expected


MARK = st.integers(1, 5)
FORMS = (
    '{{"adequacy": {0}, "conciseness": {1}, "fluency": {2}}}',
    "adequacy: {0}\nconciseness: {1}\nfluency: {2}",
    "- Adequacy: **{0}**/5 — it tells all.\n- Conciseness: **{1}**/5\n- Fluency: **{2}**/5",
    "Fluency={2}; Conciseness={1}; Adequacy={0}",
)


@given(
    form=st.sampled_from(FORMS),
    given_marks=st.tuples(MARK, MARK, MARK),
    thought=st.text(max_size=30),
)
def test_what_a_judge_means_is_what_is_read(form, given_marks, thought):
    answer = f"<think>{thought}</think>\n{form.format(*given_marks)}"
    assert tuple(marks.read(answer)[name] for name in marks.CRITERIA) == given_marks


@given(st.text(max_size=300))
def test_no_text_breaks_the_reading_or_leaves_the_scale(answer):
    assert set(marks.read(answer).values()) <= {1.0, 2.0, 3.0, 4.0, 5.0}


def test_the_question_holds_code_and_summary_and_no_reference():
    asked = marks.question(CODE, "python", "Adds {two} numbers.")
    assert CODE.strip() in asked
    assert "Adds {two} numbers." in asked
    assert "Python code" in asked


# ----- grading -----


def test_five_answers_and_their_mean(endpoint):
    server = endpoint(lambda body: GOOD.replace("4", str(1 + body["seed"])))
    rows = graded(["Adds two numbers.", "Nothing."])
    assert rows.columns["judge_adequacy"] == [3.0, 3.0]  # 1 to 5, once each
    assert rows.columns["judge_conciseness"] == [5.0, 5.0]
    assert rows.columns["judge_parse_failures"] == [0.0, 0.0]
    assert rows.reasons == [None, None]
    assert len(server.seen) == 2 * judge.RUNS
    assert {body["temperature"] for body in server.seen} == {judge.TEMPERATURE}
    assert {body["model"] for body in server.seen} == {"stand-in"}
    assert {body["max_completion_tokens"] for body in server.seen} == {judge.ANSWER_TOKENS}
    assert server.keys == {f"Bearer {KEY}"}


def test_half_answers_count_and_what_they_hold_is_used(endpoint):
    half = '{"adequacy": 2, "fluency": 4}'
    endpoint(lambda body: half if body["seed"] < 2 else GOOD)
    rows = graded(["Adds two numbers."])
    assert rows.columns["judge_adequacy"] == [pytest.approx((2 * 2 + 3 * 4) / 5)]
    assert rows.columns["judge_conciseness"] == [5.0]
    assert rows.columns["judge_parse_failures"] == [2.0]


def test_a_mark_that_no_answer_holds_has_no_value(endpoint):
    endpoint('{"adequacy": 2, "fluency": 4}')
    rows = graded(["Adds two numbers."])
    assert [rows.columns[name] for name in COLUMNS] == [[2.0], [None], [4.0], [5.0]]
    assert rows.reasons == ["no answer of the judge holds a readable mark"]


def test_garbage_is_counted_and_the_rest_goes_on(endpoint):
    endpoint(lambda body: "…" if "Second" in body["messages"][0]["content"] else GOOD)
    rows = graded(["First.", "Second.", "Third."])
    assert rows.columns["judge_adequacy"] == [4.0, None, 4.0]
    assert rows.columns["judge_parse_failures"] == [0.0, 5.0, 0.0]
    assert rows.reasons[1] == "no answer of the judge holds a readable mark"


def test_blank_summaries_are_worst_and_not_asked_about(endpoint):
    server = endpoint(GOOD)
    rows = graded(["", " \n"])
    assert [rows.columns[name] for name in COLUMNS] == [[1.0, 1.0]] * 3 + [[0.0, 0.0]]
    assert server.seen == []


def test_hostile_texts_are_not_sent(endpoint):
    server = endpoint(GOOD)
    rows = metrics.compute(
        "judge",
        ["\ud800", "x" * 30_000, "Fine.", "Fine.", "Fine."],
        codes=[CODE, CODE, "\ud800", "", CODE],
        languages=["python"] * 5,
    )
    assert rows.columns["judge_adequacy"] == [None, None, None, None, 4.0]
    expected = [admission.NOT_UNICODE, admission.TOO_LONG, admission.NOT_UNICODE]
    assert rows.reasons == [*expected, admission.NO_CODE, None]
    assert len(server.seen) == judge.RUNS


def test_answers_are_paid_for_once(endpoint):
    server = endpoint(lambda body: GOOD.replace("4", str(1 + body["seed"])))
    first = graded(["One.", "Two.", "One."])
    assert len(server.seen) == 2 * judge.RUNS  # the same summary of the same code is one question
    again = graded(["Two.", "One."])
    assert len(server.seen) == 2 * judge.RUNS
    assert again.columns["judge_adequacy"] == first.columns["judge_adequacy"][1::-1]
    server.__exit__()
    metrics.load.cache_clear()
    assert graded(["One."]).columns == {name: values[:1] for name, values in first.columns.items()}


def test_another_model_is_another_judge(endpoint, monkeypatch):
    server = endpoint(GOOD)
    graded(["One."])
    monkeypatch.setenv(judge.MODEL, "another")
    metrics.load.cache_clear()
    graded(["One."])
    assert len(server.seen) == 2 * judge.RUNS


def test_every_answer_is_kept_beside_the_scores(endpoint, tmp_path):
    endpoint(lambda body: "…" if body["seed"] == 4 else GOOD)
    path = tmp_path / "judgments.jsonl"
    graded(["One.", ""], names=["s/1", "s/2"], record=str(path))
    (line,) = path.read_text().splitlines()
    kept = json.loads(line)
    assert kept["name"] == "s/1"
    assert [one["answer"] for one in kept["answers"]] == [GOOD] * 4 + ["…"]
    assert kept["answers"][4]["marks"] == {}
    assert kept["answers"][0]["marks"] == {"adequacy": 4, "conciseness": 5, "fluency": 3}


# ----- endpoints that misbehave -----


def seconds(call):
    begin = time.monotonic()
    with pytest.raises(NotRunError) as caught:
        call()
    return str(caught.value), time.monotonic() - begin


def test_no_judge_is_named(monkeypatch):
    why, _ = seconds(lambda: graded(["One."]))
    assert "set BENCH_JUDGE_URL and BENCH_JUDGE_MODEL" in why
    monkeypatch.setenv(judge.URL, "http://localhost:1/v1")
    assert "set BENCH_JUDGE_MODEL (" in seconds(lambda: graded(["One."]))[0]


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host/v1", "http://", "http://[::1/v1", "http://h:x/"]
)
def test_an_address_that_is_none_is_told(monkeypatch, url):
    monkeypatch.setenv(judge.URL, url)
    monkeypatch.setenv(judge.MODEL, "m")
    assert "not an address such as" in seconds(lambda: graded(["One."]))[0]
    assert judge.obtainable() is None


def test_a_key_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv(judge.URL, "http://localhost:1/v1")
    monkeypatch.setenv(judge.MODEL, "m")
    monkeypatch.setenv(judge.API_KEY, "sk-…")
    assert "characters that no key has" in seconds(lambda: graded(["One."]))[0]


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_an_unreachable_judge_is_told_within_seconds(monkeypatch):
    port = closed_port()
    monkeypatch.setenv(judge.URL, f"http://user:word@127.0.0.1:{port}/v1")
    monkeypatch.setenv(judge.MODEL, "m")
    why, took_s = seconds(lambda: graded(["One."] * 9))
    assert why == (
        f"not run: the judge at 127.0.0.1:{port} cannot be reached; "
        "start it, or name another in BENCH_JUDGE_URL"
    )
    assert took_s < 20  # nine questions are not nine waits of the library
    assert judge.obtainable() is None


def test_a_server_that_never_replies_is_told(monkeypatch):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv(judge.URL, f"http://127.0.0.1:{deaf.getsockname()[1]}/v1")
        monkeypatch.setenv(judge.MODEL, "m")
        why, took_s = seconds(lambda: graded(["One."]))
    assert "did not reply within 1 s" in why
    assert took_s < 20


def test_a_judge_that_hangs_is_left_after_one_question(endpoint):
    server = endpoint(lambda _: None)
    why, _ = seconds(lambda: graded(["One.", "Two.", "Three."]))
    assert "gave no answer: APITimeoutError" in why
    assert len(server.seen) == 1 + judge.RETRIES


def test_a_judge_that_fails_is_left_after_one_question(endpoint):
    server = endpoint((500, '{"error": {"message": "out of memory"}}'))
    why, _ = seconds(lambda: graded(["One.", "Two.", "Three."]))
    assert "gave no answer: InternalServerError" in why
    assert "out of memory" in why
    assert len(server.seen) == 1 + judge.RETRIES


def test_a_failure_now_and_then_is_asked_again(endpoint):
    tries = itertools.count()
    server = endpoint(lambda _: (503, "{}") if next(tries) % 3 == 1 else GOOD)
    rows = graded(["One."])
    assert rows.columns["judge_adequacy"] == [4.0]
    assert len(server.seen) > judge.RUNS


def test_what_was_answered_before_a_judge_died_is_kept(endpoint, monkeypatch):
    texts = [f"Summary {number}." for number in range(8)]
    tries = itertools.count()
    server = endpoint(lambda _: GOOD if next(tries) < 17 else (500, "{}"))
    rows = graded(texts)  # one question, then sixteen, then none
    done = [value is not None for value in rows.columns["judge_adequacy"]]
    assert done == [True] * 3 + [False] * 5
    assert "gave no answer: InternalServerError" in rows.reasons[3]
    assert "delete the folder of the scores to ask again" in rows.reasons[3]
    assert rows.columns["judge_parse_failures"][3:] == [None] * 5
    asked = len(server.seen)
    server.answer = lambda _: GOOD
    assert graded(texts).columns["judge_adequacy"] == [4.0] * 8
    assert len(server.seen) - asked == 8 * judge.RUNS - 17


def test_one_question_that_a_judge_refuses_costs_only_its_summary(endpoint):
    def answer(body):
        long = "Long" in body["messages"][0]["content"]
        return (400, '{"error": {"message": "prompt too long"}}') if long else GOOD

    endpoint(answer)
    rows = graded(["Long.", "One.", "Two."])
    assert rows.columns["judge_adequacy"] == [None, 4.0, 4.0]
    assert "prompt too long" in rows.reasons[0]


def test_older_servers_get_the_older_spelling(endpoint):
    def answer(body):
        return GOOD if "max_tokens" in body else (422, '{"detail": "max_completion_tokens?"}')

    server = endpoint(answer)
    assert graded(["One.", "Two.", "Three.", "Four."]).columns["judge_adequacy"] == [4.0] * 4
    assert sum("max_tokens" in body for body in server.seen) == 4 * judge.RUNS
    assert len(server.seen) == 4 * judge.RUNS + 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_judge_that_refuses_is_not_asked_again(endpoint, status):
    server = endpoint((status, json.dumps({"error": {"message": f"no: {KEY}"}})))
    why, _ = seconds(lambda: graded(["One.", "Two."]))
    assert "refuses 'stand-in'" in why
    assert "check BENCH_JUDGE_URL, BENCH_JUDGE_MODEL and BENCH_JUDGE_API_KEY" in why
    assert KEY not in why
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "body", ["<html>hello</html>", "[]", '{"choices": []}', "", '{"a":' * 9_000]
)
def test_a_reply_of_another_form_is_no_answer_and_not_kept(endpoint, body):
    server = endpoint((200, body))
    why, _ = seconds(lambda: graded(["One."]))
    assert "its reply is no chat completion; is BENCH_JUDGE_URL" in why
    server.answer = lambda _: GOOD
    assert graded(["One."]).columns["judge_adequacy"] == [4.0]


def test_the_key_is_nowhere_but_in_the_requests(endpoint, tmp_path, caplog):
    caplog.set_level("DEBUG")
    endpoint(lambda body: f"{KEY} {GOOD}" if body["seed"] else GOOD)
    path = tmp_path / "judgments.jsonl"
    graded(["One."], record=str(path))
    assert "***" in path.read_text()
    assert KEY not in repr(judge.Judge.configured())
    assert KEY not in caplog.text
    for file in filter(lambda one: one.is_file(), tmp_path.rglob("*")):
        assert KEY.encode() not in file.read_bytes(), file


def test_endpoints_without_a_key_never_see_another_ones(endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-service")
    server = endpoint(GOOD, key=None)
    graded(["One."])
    assert server.keys == {"Bearer none"}


def test_offline_leaves_the_network_alone_but_not_this_machine(endpoint, monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    endpoint(GOOD)
    assert graded(["One."]).columns["judge_adequacy"] == [4.0]
    monkeypatch.setenv(judge.URL, "https://judge.example.org/v1")
    metrics.load.cache_clear()
    why, _ = seconds(lambda: graded(["One."]))
    assert (
        why
        == "not run: the judge at judge.example.org:443 is on the network; run without --offline"
    )


def test_a_proxy_is_not_asked_for_this_machine(endpoint, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    endpoint(GOOD)
    assert graded(["One."]).columns["judge_adequacy"] == [4.0]


# ----- the answers' file -----


def _append_for_ever(path):
    answers = judgments.Answers(path)
    for number in itertools.count():
        answers.add({f"{os.getpid()}-{number}-{place}": "x" * 2_000 for place in range(16)})


def test_killed_writers_lose_a_batch_at_most_and_spoil_nothing(tmp_path):
    path = tmp_path / "answers.jsonl"
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        writers = [context.Process(target=_append_for_ever, args=(path,)) for _ in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(0.15)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
    with path.open("ab") as file:
        file.write(b'{"question": "torn", "ans')
    answers = judgments.Answers(path)
    assert "torn" not in answers
    answers.add({"after": "fine"})
    assert judgments.Answers(path).get("after") == "fine"
    keys = [
        json.loads(line)["question"] for line in path.read_text().splitlines() if line.endswith("}")
    ]
    assert len(keys) == len(set(keys)) > 16


def test_the_first_answer_counts(tmp_path):
    one, two = (judgments.Answers(tmp_path / "a.jsonl") for _ in range(2))
    one.add({"q": "first"})
    two.add({"q": "second", "r": "other"})
    assert two.get("q") == "first"
    assert judgments.Answers(tmp_path / "a.jsonl").get("q") == "first"
    assert two.get("r") == "other"


# ----- in a stage's scores, and in its key -----


def test_scores_of_summaries_have_the_judges_columns(endpoint, tmp_path):
    endpoint(lambda body: "…" if body["seed"] == 0 else GOOD)
    problems = [
        Sample(f"{name}@{track}", track, {"code": CODE}, "Add.")
        for track in TRACKS[2:4]
        for name in "ab"
    ]
    texts = ["Adds.", "", "Adds.", "Sums."]
    written = [
        Generation(
            one.id, "embedded", one.track.task, one.track.language, "", 1, 1, "stop", text, text
        )
        for one, text in zip(problems, texts, strict=True)
    ]
    options = score.Options(dict.fromkeys(TRACKS, "embedded"), ("judge",), work=tmp_path)
    found = score.score({"embedded": problems}, written, None, options=options)
    assert found.metrics["summarization/python/judge_adequacy"] == (4 + 1) / 2
    assert found.metrics["summarization/java/judge_fluency"] == 3.0
    assert found.metrics["summarization/java/judge_parse_failures"] == 2  # a count, not a mean
    names = {
        json.loads(line)["name"] for line in (tmp_path / score.JUDGMENTS).read_text().splitlines()
    }
    assert names == {f"embedded/{problems[index].id}" for index in (0, 2, 3)}


def test_a_judge_that_is_not_there_is_a_note_for_each_column(tmp_path):
    problem = Sample("a", TRACKS[2], {"code": CODE}, "Add.")
    written = Generation(
        "a", "embedded", "summarization", "python", "", 1, 1, "stop", "Add.", "Add."
    )
    options = score.Options(dict.fromkeys(TRACKS, "embedded"), ("judge",), work=tmp_path)
    found = score.score({"embedded": [problem]}, [written], None, options=options)
    for column in COLUMNS:
        assert found.metrics[f"summarization/python/{column}"] is None
        assert found.notes[f"summarization/python/{column}"].startswith(
            "not run: no judge is named"
        )
    assert found.metrics["summarization/python/bleu"] == 1.0


def test_the_key_of_scores_knows_whether_a_judge_answers(endpoint, monkeypatch):
    assert judge.obtainable() is None
    server = endpoint(GOOD)
    assert judge.obtainable() == "stand-in"
    graded(["One."])
    server.__exit__()
    assert judge.obtainable() == "stand-in"  # what it said is still known
    monkeypatch.setenv(judge.MODEL, "another")
    assert judge.obtainable() is None


# ----- a real server -----


@pytest.mark.slow
def test_a_language_model_behind_transformers_serve(monkeypatch, tmp_path):
    """The whole way with a real server, offline, from a folder; a tiny model says nonsense."""
    pytest.importorskip("fastapi", reason="needs pip install 'transformers[serving]'")
    pytest.importorskip("uvicorn", reason="needs pip install 'transformers[serving]'")
    from tests import tiny_model

    folder = tmp_path / "model"
    tiny_model.model().save_pretrained(folder)
    tiny_model.tokenizer().save_pretrained(folder)
    port = closed_port()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()"]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(
        [*command, "serve", str(folder), "--port", str(port), "--device", "cpu"],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        monkeypatch.setenv(judge.URL, f"http://localhost:{port}/v1")
        monkeypatch.setenv(judge.MODEL, str(folder))
        monkeypatch.setattr(judge, "REQUEST_S", 120.0)
        monkeypatch.setattr(judge, "REACH_S", 20.0)
        monkeypatch.setattr(judge, "ANSWER_TOKENS", 12)
        deadline = time.monotonic() + 240
        while not judge.Judge.configured().listens() and server.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert server.poll() is None, (tmp_path / "log").read_text()
        rows = graded(["Adds two numbers."], record=str(tmp_path / "judgments.jsonl"))
    finally:
        server.terminate()
        server.wait(30)
        log.close()
    kept = json.loads((tmp_path / "judgments.jsonl").read_text())
    assert all(isinstance(one["answer"], str) for one in kept["answers"])
    assert any(one["answer"] for one in kept["answers"])
    assert rows.columns["judge_parse_failures"] == [5.0]
    assert rows.columns["judge_adequacy"] == [None]


def test_the_client_is_the_one_that_is_locked():
    assert int(openai.__version__.partition(".")[0]) >= 2
