"""The ways to look at a model's text: as it is, and without what models leave in it.

Thoughts, marks of chat templates, tags, prompts of a console, quotes, line numbers and odd blanks
are no code, yet stand where code stands. Each way takes out one kind more; the likeliest comes
first, and what is found in it counts.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator

#: What thoughts stand between; chat templates write the same words in brackets of their own.
_THINKS = r"think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis|planning"
_THOUGHT = re.compile(
    rf"<(?P<tag>(?:\w+:)?(?:{_THINKS}))>(?:.*?</(?P=tag)>|.*\Z)"
    rf"|<\|begin_of_(?P<word>{_THINKS})\|>(?:.*?<\|end_of_(?P=word)\|>|.*\Z)"
    r"|(?-i:\[THINK\])(?:.*?(?-i:\[/THINK\])|.*\Z)"
    r"|◁think▷(?:.*?◁/think▷|.*\Z)"
    r"|<\|channel\|>analysis<\|message\|>(?:.*?<\|end\|>|.*\Z)"
    r"|(?-i:\Aanalysis.*?assistantfinal)",
    re.DOTALL | re.IGNORECASE,
)
_THOUGHT_END = re.compile(
    rf"\A.*(?:</(?:{_THINKS})>|<\|end_of_(?:{_THINKS})\|>)", re.DOTALL | re.IGNORECASE
)
#: Marks that end a model's turn; what follows answers another.
_TURN_END = re.compile(
    r"<[|｜](?:im_end|endoftext|eot_id|eot|end|end▁of▁sentence|return|end_of_text)[|｜]>"
    r"|</s>|<eos>|<end_of_turn>|<(?:jupyter_output|filename|file_sep|reponame)>",
    re.IGNORECASE,
)
_LEFT = (
    r"(?:<[|｜][^|｜<>\n]{1,40}[|｜]>"
    r"|</?(?:s|eos|bos|pad|start_of_turn|end_of_turn|answer|final_answer|solution|response|code"
    r"|pre|output|python|java|csharp)(?:[ \t][^<>\n]*)?>"
    r"|\[/?(?:INST|PYTHON|JAVA|CSHARP|CODE|code|ANSWER|SOLUTION)\]|<jupyter_\w+>|<fim_\w+>"
    r"|<!\[CDATA\[|\]\]>|(?:python|java|csharp|c#)?Copy code|\x1b\[[\d;]*m)"
)
#: What chat templates and documents put at the begin and end of a line.
_MARKS = re.compile(
    rf"^[ \t]*(?:{_LEFT}(?:\w{{1,40}}(?={_LEFT}))?[ \t]*)+|(?:{_LEFT}[ \t]*){{1,8}}$", re.MULTILINE
)
#: A fence that a line of code runs into.
_GLUED = re.compile(r"(?<=[^\s`~])[ \t]*```[ \t]*$", re.MULTILINE)
_UNSEEN = r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
_EDGES = re.compile(rf"^{_UNSEEN}|{_UNSEEN}$", re.MULTILINE)
_ODD = re.compile(
    r"(?P<text>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')|(?P<end>[\x85\u2028\u2029])"
    r"|[\u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff]"
)
_ESCAPE = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#39|#x27|#34);", re.IGNORECASE)
#: What escapes of HTML look like to a parser: ``x &lt; 3`` is two statements.
ESCAPED = frozenset({"lt", "gt", "amp", "quot", "apos"})
_QUOTE = r"[ \t]*[>.](?:[ ]|$)"
#: What lines of code begin with in a console, a quotation, a listing or a difference.
_PREFIXES = (
    r"[ \t]*(?:>>>|\.\.\.)[ ]?",
    r"[ \t]*(?:In \[\d+\]:|\.\.\.+:)(?:[ ]|$)",
    r"(?:jshell>|[ ]+\.\.\.>)(?:[ ]|$)",
    _QUOTE,
    r"[ \t]*\d+(?:[:.)]|[ \t]*[|│])?(?:[ ]|$)",
    r"(?!\+\+\+ )\+|[ ](?!$)",
)
_FENCED = re.compile(r"[ \t]*(?:`{3,}|~{3,})")
_WORDS = r"(?:python|py|java|csharp|cs|c#)"
_TICKS = re.compile(rf"`{{1,3}}(?:{_WORDS}(?=[ \t]))?[ \t]*", re.IGNORECASE)
_QUOTES = re.compile(rf"^[ \t]*(?:\"\"\"|''')(?:{_WORDS})?[ \t]*$", re.MULTILINE | re.IGNORECASE)


def readings(text: str, name: str | None) -> Iterator[str]:
    """The ways to look at a text, the likeliest first; ``name`` is what was asked for.

    One that is as long as the text has each character in its place. The whole text may be
    meant nevertheless, as where a program speaks of such marks.
    """
    seen: set[str] = set()
    for one in _ways(text, name):
        if one not in seen:
            seen.add(one)
            yield one


def _ways(text: str, name: str | None) -> Iterator[str]:
    made = _thoughtless(text)
    for begun in (_first_turn(made), made):
        yield from _cleared(begun, name)
    yield text


def _cleared(made: str, name: str | None) -> Iterator[str]:
    """A text with ever more taken out; then, each on its own, what may be mistaken for code."""
    yield made
    steps: tuple[Callable[[str], str], ...] = (
        lambda one: _GLUED.sub(_blank, one),
        lambda one: _MARKS.sub(_parted, one),
        lambda one: _EDGES.sub("", one),
        lambda one: _ODD.sub(_even, one),
        lambda one: _ESCAPE.sub(lambda found: html.unescape(found[0]), one),
    )
    for step in steps:
        made = step(made)
        yield made
    for around in (made, _unprefixed(made, _QUOTE)):
        for prefix in _PREFIXES:
            yield _unprefixed(around, prefix)
    yield _TICKS.sub(_ended, made)
    yield _QUOTES.sub(_blank, made)
    if name:
        called = rf"(?=[^\n:]*\b{re.escape(name)}\b[ \t]*[(=<])"
        yield re.sub(rf"^[^\n`]{{0,80}}?[:.)\]>][ \t]+{called}", _ended, made, flags=re.MULTILINE)


def _thoughtless(text: str) -> str:
    made = _THOUGHT.sub(_ended, text)
    return _THOUGHT_END.sub(_ended, made)


def _first_turn(text: str) -> str:
    """A text up to where the model's first turn ends that says something."""
    before = 0
    for found in _TURN_END.finditer(text):
        if _MARKS.sub(" ", text[before : found.start()]).strip():
            return text[: found.start()] + _blank_text(text[found.start() :])
        before = found.end()
    return text


def _unprefixed(text: str, prefix: str) -> str:
    """The lines that begin with a prefix, without it; fences stay, others are no code."""
    lines = text.split("\n")
    found = [re.match(prefix, line) for line in lines]
    width = max((one.end() for one in found if one), default=0)
    for number, (line, one) in enumerate(zip(lines, found, strict=True)):
        rest = line[one.end() :] if one else ""
        if rest.strip():
            lines[number] = " " * width + rest
        elif one or not _FENCED.match(line):
            lines[number] = _blank_text(line)
    return "\n".join(lines)


def _even(found: re.Match[str]) -> str:
    """What stands for an odd blank; a text keeps its own."""
    return found["text"] or ("\n" if found["end"] else " ")


def _ended(found: re.Match[str]) -> str:
    """Blanks; what follows them begins a line."""
    return _blank(found)[:-1] + "\n"


def _parted(found: re.Match[str]) -> str:
    """Blanks between two ends of lines."""
    return "\n" + _ended(found)[1:]


def _blank(found: re.Match[str]) -> str:
    return _blank_text(found.group())


def _blank_text(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)
