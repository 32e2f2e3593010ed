"""A language model that grades summaries, behind any endpoint of OpenAI's chat protocol.

Three environment variables say which: ``BENCH_JUDGE_URL`` (the protocol's base, such as
http://localhost:8000/v1), ``BENCH_JUDGE_MODEL`` and, where the endpoint wants one,
``BENCH_JUDGE_API_KEY``. The key goes into the requests and nowhere else.

Each summary is graded five times (temperature 1, the run's number as the seed); what is
asked and how an answer is read stands in ``bench.scoring.marks``.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import ipaddress
import itertools
import json
import os
import socket
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.sources import cache_folder
from bench.scoring.admission import MAX_CHARACTERS, NotRunError
from bench.scoring.judgments import Answers

if TYPE_CHECKING:
    import openai

#: What endpoints get that want no key.
NO_KEY = "none"
URL, MODEL, API_KEY = "BENCH_JUDGE_URL", "BENCH_JUDGE_MODEL", "BENCH_JUDGE_API_KEY"
RUNS = 5
TEMPERATURE = 1.0
#: Enough for a model that thinks before it answers.
ANSWER_TOKENS = 2048

#: Requests at once, and answers between two syncs to the disk.
WORKERS = 8
BATCH = 16
#: Seconds until an endpoint counts as unreachable, and until a request counts as lost.
REACH_S, REQUEST_S = 10.0, 120.0
#: Further attempts at a request that failed; the client waits between them, 8 s at most.
RETRIES = 2

#: How requests are spelled: newer servers refuse the older word, and the other way round.
SPELLINGS = ("max_completion_tokens", "max_tokens")


@dataclasses.dataclass(frozen=True, slots=True)
class Judge:
    """Which model grades, and where it answers."""

    url: str
    model: str
    key: str = dataclasses.field(repr=False)

    @classmethod
    def configured(cls) -> Judge:
        """The judge that the environment names.

        Raises:
            NotRunError: it names none, or not an address that can be used here.
        """
        url, model = os.environ.get(URL, "").strip(), os.environ.get(MODEL, "").strip()
        if not url or not model:
            lacking = " and ".join(
                name for name, value in ((URL, url), (MODEL, model)) if not value
            )
            raise NotRunError(
                f"not run: no judge is named; set {lacking} (any endpoint of OpenAI's chat "
                f"protocol; {API_KEY} where it wants a key)"
            )
        judge = cls(url, model, os.environ.get(API_KEY, "").strip() or NO_KEY)
        if not (judge.key.isascii() and judge.key.isprintable()):
            raise NotRunError(f"not run: {API_KEY} holds characters that no key has; set it again")
        if judge._address() is None:
            raise NotRunError(f"not run: {URL} is not an address such as http://localhost:8000/v1")
        if os.environ.get("BENCH_OFFLINE") == "1" and not judge.is_local:
            raise NotRunError(
                f"not run: the judge at {judge.where} is on the network; run without --offline"
            )
        return judge

    def _address(self) -> tuple[str, int] | None:
        try:
            parts = urllib.parse.urlsplit(self.url)
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        except (ValueError, KeyError):
            return None
        return (parts.hostname, port) if parts.hostname else None

    @property
    def where(self) -> str:
        """Host and port, without whatever secret the address may hold."""
        address = self._address()
        return "nowhere" if address is None else f"{address[0]}:{address[1]}"

    @property
    def is_local(self) -> bool:
        """Whether it answers on this machine."""
        host = (self._address() or ("", 0))[0]
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def answers(self) -> Path:
        """Where its answers are kept; the model's name stands for the judge."""
        recipe = json.dumps([self.model, TEMPERATURE, ANSWER_TOKENS])
        digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
        return cache_folder() / "judgments" / f"{digest}.jsonl"

    def listens(self, timeout_s: float = 1.0) -> bool:
        """Whether something takes connections there (behind a proxy: as far as one can say)."""
        address = self._address()
        if address is None:
            return False
        proxied = urllib.request.getproxies() and not urllib.request.proxy_bypass(address[0])
        if proxied and not self.is_local:
            return True
        try:
            socket.create_connection(address, timeout_s).close()
        except OSError:
            return False
        return True


def obtainable() -> str | None:
    """The judge's name where it answers, or has answered before; else None. Cheap."""
    try:
        judge = Judge.configured()
    except NotRunError:
        return None
    return judge.model if judge.answers.exists() or judge.listens() else None


@dataclasses.dataclass(frozen=True, slots=True)
class Graded:
    """The answers to one question: one per run, None where the judge gave none, and why."""

    answers: tuple[str | None, ...]
    why: str | None


def grade(judge: Judge, questions: Sequence[str]) -> list[Graded]:
    """Ask every question ``RUNS`` times; answers that are known already are not asked for.

    Raises:
        NotRunError: the judge is unreachable, refuses, or answers nothing at all.
        DiskError: the answers cannot be kept.
    """
    answers = Answers(judge.answers)
    keys = {text: [_key(judge, text, run) for run in range(RUNS)] for text in questions}
    open_ = {
        key: (text, run)
        for text, runs in keys.items()
        for run, key in enumerate(runs)
        if key not in answers
    }
    failures: dict[str, str] = {}
    if open_:
        _Asking(judge).all(open_, answers, failures)
        if len(failures) == len(open_) == RUNS * len(keys):
            raise NotRunError(f"not run: {next(iter(failures.values()))}; see {URL}")
    graded = {}
    for text, runs in keys.items():
        given = tuple(answers.get(key) for key in runs)
        graded[text] = Graded(given, next((failures[key] for key in runs if key in failures), None))
    return [graded[text] for text in questions]


def _key(judge: Judge, text: str, run: int) -> str:
    return hashlib.sha256(f"{judge.model}\n{run}\n{text}".encode()).hexdigest()


class _Asking:
    """One connection to the judge."""

    def __init__(self, judge: Judge) -> None:
        try:
            import openai
        except ImportError as error:
            raise NotRunError(
                f"not run: no {error.name} here; pip install 'bench[score]'"
            ) from error
        self._judge = judge
        self._errors = openai
        self._client = openai.OpenAI(
            base_url=judge.url,
            api_key=judge.key,
            timeout=openai.Timeout(REQUEST_S, connect=REACH_S),
            max_retries=RETRIES,
            # A proxy of the environment is not for this machine's own servers.
            http_client=openai.DefaultHttpxClient(trust_env=not judge.is_local),
        )
        self._refused = openai.BadRequestError, openai.UnprocessableEntityError
        self._spelling = SPELLINGS[0]

    def all(
        self,
        requests: Mapping[str, tuple[str, int]],
        answers: Answers,
        failures: dict[str, str],
    ) -> None:
        """Ask for everything; stop where a whole batch stays without an answer.

        The first batch is a single request, so that a judge that is not there is not
        waited for sixteen times.
        """
        self._reach()
        waiting = iter(requests.items())
        size, stopped = 1, ""
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            while batch := list(itertools.islice(waiting, size)):
                if stopped:
                    failures |= {key: stopped for key, _ in batch}
                    continue
                replies = pool.map(self._ask, (request for _, request in batch))
                given = dict(zip((key for key, _ in batch), replies, strict=True))
                answers.add({key: one.text for key, one in given.items() if not one.why})
                failed = {key: one.why for key, one in given.items() if one.why}
                failures |= failed
                lost = size == BATCH or all(one.lost for one in given.values())
                if len(failed) == len(batch) and lost:
                    stopped = next(iter(failed.values()))
                size = BATCH

    def _reach(self) -> None:
        """Any reply will do, a refusal, too.

        Raises:
            NotRunError: there is none.
        """
        try:
            self._client.with_options(
                timeout=REACH_S, max_retries=0
            ).models.with_raw_response.list()
        except self._errors.APIStatusError:
            return
        except self._errors.APIConnectionError as error:
            late = isinstance(error, self._errors.APITimeoutError)
            why = f"did not reply within {REACH_S:.0f} s" if late else "cannot be reached"
            what = f"the judge at {self._judge.where} {why}"
            raise NotRunError(f"not run: {what}; start it, or name another in {URL}") from error

    def _ask(self, request: tuple[str, int]) -> _Reply:
        """One answer, or why there is none.

        Raises:
            NotRunError: the judge refuses the key, or does not know the model.
        """
        fatal = self._errors.AuthenticationError, self._errors.PermissionDeniedError
        try:
            content = _content(self._send(*request))
        except (*fatal, self._errors.NotFoundError) as error:
            raise NotRunError(
                f"not run: the judge at {self._judge.where} refuses {self._judge.model!r}: "
                f"{self._told(error)}; check {URL}, {MODEL} and {API_KEY}"
            ) from error
        except self._errors.OpenAIError as error:
            refused = isinstance(error, self._refused)
            return _Reply(why=self._no_answer(self._told(error)), lost=not refused)
        if content is None:
            other = f"its reply is no chat completion; is {URL} the protocol's base, with its /v1?"
            return _Reply(why=self._no_answer(other), lost=True)
        return _Reply(self._without_key(content[:MAX_CHARACTERS]))

    def _no_answer(self, why: str) -> str:
        return f"the judge at {self._judge.where} gave no answer: {why}"

    def _send(self, text: str, run: int) -> str:
        """The body of the reply to one request."""
        spelling = self._spelling
        try:
            return self._create(text, run, spelling)
        except self._refused:
            if spelling != SPELLINGS[0]:
                raise
        reply = self._create(text, run, SPELLINGS[1])
        self._spelling = SPELLINGS[1]
        return reply

    def _create(self, text: str, run: int, spelling: str) -> str:
        create = self._client.chat.completions.with_raw_response.create
        return create(
            model=self._judge.model,
            messages=[{"role": "user", "content": text}],
            temperature=TEMPERATURE,
            seed=run,
            extra_body={spelling: ANSWER_TOKENS},
        ).text

    def _told(self, error: openai.OpenAIError) -> str:
        """An error in one short line that does not hold the key."""
        line = self._without_key(" ".join(str(error).split()))
        return f"{type(error).__name__}: {line[:160]}"

    def _without_key(self, text: str) -> str:
        """A server may repeat the key that it was sent."""
        return text if self._judge.key == NO_KEY else text.replace(self._judge.key, "***")


@dataclasses.dataclass(frozen=True, slots=True)
class _Reply:
    """What the model wrote, or why it wrote nothing; ``lost``: the next request would be, too."""

    text: str = ""
    why: str = ""
    lost: bool = False


def _content(reply: str) -> str | None:
    """What the model wrote in a chat completion; None where the reply is none."""
    try:
        content = json.loads(reply)["choices"][0]["message"].get("content")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None
    return content if isinstance(content, str) else ""
