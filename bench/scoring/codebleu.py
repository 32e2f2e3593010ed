"""CodeBLEU of one function against its reference, in 0..1, with two readings of 0.7.0.

The parts are those of the package ``codebleu`` 0.7.0 (n-gram BLEU, keyword-weighted
n-gram recall, subtree match, data-flow match; each weighs a quarter) on tree-sitter
grammars 0.21. That release replaces a data-flow score of 0 by 1, so an empty output gets
0.25 and an output without any right data flow gets a quarter for nothing.

- corrected: an empty output scores 0; a data-flow score of 0 is 0; where the reference
  has no data flow at all, that part is left out and the others weigh a third each; n-grams
  longer than the reference are left out (0.7.0 gives an equal text of 2 words 0.32 there); the
  recall of few words is that of their own weight (0.7.0 divides by no less than a keyword's,
  and takes any reference for two words long). So an equal text scores 1.
- published: as 0.7.0 computes it, comparable with published values.

0.7.0 orders the names that flow into a variable by ``set``, so its data-flow score changes
with Python's hash seed; here they stand in the order of the source text.
"""

from __future__ import annotations

import contextlib
import functools
import math
import tokenize
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import codebleu.bleu
import codebleu.parser
import codebleu.utils
import codebleu.weighted_ngram_match
import tree_sitter

from bench.scoring import rawstrings
from bench.scoring.admission import TOO_DEEP

#: Language names of the kit, of codebleu, and codebleu's data-flow functions.
LANGUAGES = {
    "python": ("python", codebleu.parser.DFG_python),
    "java": ("java", codebleu.parser.DFG_java),
    "csharp": ("c_sharp", codebleu.parser.DFG_csharp),
}

#: n-grams up to this length are compared.
ORDERS = 4
#: What counts where no n-gram of an order is right (0.7.0's smoothing).
NEARLY_NONE = 0.1
#: Deepest syntax tree that is compared: the data-flow functions recurse.
MAX_DEPTH = 300
#: codebleu walks the body of a loop twice, so n nested loops cost 2 to the n walks.
MAX_NESTED_LOOPS = 8
LOOPS = {
    "for_statement",
    "enhanced_for_statement",
    "for_each_statement",
    "foreach_statement",
    "while_statement",
}
#: Recovery from errors may take time by the square of a text's length; honest texts take none.
_PATIENCE_MICROSECONDS = 3_000_000
TOO_SLOW = "takes too long to parse"
TOO_MANY_LOOPS = f"more than {MAX_NESTED_LOOPS} nested loops"

Flow = tuple[str, str, tuple[str, ...]]


class Unmeasurable(Exception):
    """A text whose tree cannot be compared; the message is the reason."""


def score(prediction: str, reference: str, language: str) -> tuple[float, float]:
    """Corrected and published CodeBLEU of one snippet.

    Raises:
        Unmeasurable: a syntax tree too deep, loops too deeply nested, or a text too broken, to
            compare.
    """
    prediction, reference = prediction.strip(), reference.strip()
    hypothesis, expected = prediction.split(), reference.split()
    keywords = _keywords(language)
    keyed = {token: 1.0 if token in keywords else 0.2 for token in expected}

    def bleu(orders: int) -> float:
        """BLEU over n-grams of 1 to ``orders`` tokens."""
        weights = (1 / orders,) * orders
        return float(codebleu.bleu.corpus_bleu([[expected]], [hypothesis], weights=weights))

    subtrees, flows = _analyse(prediction, language)
    expected_subtrees, expected_flows = _analyse(reference, language)
    matched = sum(n for tree, n in expected_subtrees.items() if tree in subtrees)
    syntax = matched / expected_subtrees.total()
    total = expected_flows.total()
    flow = (flows & expected_flows).total() / total if total else 0.0
    recall = codebleu.weighted_ngram_match.corpus_bleu([[[expected, keyed]]], [hypothesis])
    published = (bleu(ORDERS) + float(recall) + syntax + (flow or 1.0)) / 4
    if not hypothesis or not expected:
        return 0.0, published
    orders = min(len(expected), ORDERS)
    parts = bleu(orders) + _recall(hypothesis, expected, keyed, orders) + syntax
    return (parts + flow) / 4 if total else parts / 3, published


def _recall(
    hypothesis: Sequence[str], expected: Sequence[str], weights: Mapping[str, float], orders: int
) -> float:
    """The geometric mean of the shares of ``expected`` n-grams that the hypothesis has.

    Single tokens count by their weights, and none of an order as a tenth of one.
    """
    shares = []
    for order in range(1, orders + 1):
        wanted = _ngrams(expected, order)
        weigh = weights if order == 1 else {}
        matched, whole = (
            sum(count * weigh.get(ngram[0], 1.0) for ngram, count in counted.items())
            for counted in (wanted & _ngrams(hypothesis, order), wanted)
        )
        if order == 1 and not matched:
            return 0.0
        shares.append((matched or NEARLY_NONE) / whole)
    return math.prod(shares) ** (1 / orders)


def _ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


@functools.cache
def _keywords(language: str) -> frozenset[str]:
    folder = Path(codebleu.utils.__file__).parent / "keywords"
    lines = (folder / f"{LANGUAGES[language][0]}.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines)


@functools.cache
def _parser(language: str) -> tree_sitter.Parser:
    parser = tree_sitter.Parser()
    parser.timeout_micros = _PATIENCE_MICROSECONDS
    parser.language = codebleu.utils.get_tree_sitter_language(LANGUAGES[language][0])
    return parser


@functools.lru_cache(maxsize=4096)
def _analyse(code: str, language: str) -> tuple[Counter[str], Counter[Flow]]:
    """Subtrees (as S-expressions) and data flows (normalised) of a snippet, counted."""
    # What cannot be tokenized is compared with its comments, as in 0.7.0.
    with contextlib.suppress(tokenize.TokenError, SyntaxError, IndexError, ValueError):
        code = codebleu.parser.remove_comments_and_docstrings(code, LANGUAGES[language][0])
    content = code.encode()
    if language == "csharp":
        content = rawstrings.readable(content)
        code = content.decode()
    parser = _parser(language)
    try:
        root = parser.parse(content).root_node
    except ValueError:  # its time is up
        parser.reset()
        raise Unmeasurable(TOO_SLOW) from None
    _refuse_extremes(root)
    return _subtrees(root), _flows(root, code, language)


def _refuse_extremes(root: tree_sitter.Node) -> None:
    """Walk the tree without recursion; refuse what recursion could not bear."""
    cursor = root.walk()
    loops = 0
    while True:
        if cursor.depth > MAX_DEPTH:
            raise Unmeasurable(TOO_DEEP)
        node = cursor.node
        loops += node is not None and node.type in LOOPS
        if loops > MAX_NESTED_LOOPS:
            raise Unmeasurable(TOO_MANY_LOOPS)
        if cursor.goto_first_child():
            continue
        while True:
            node = cursor.node
            loops -= node is not None and node.type in LOOPS
            if cursor.goto_next_sibling():
                break
            if not cursor.goto_parent():
                return


def _subtrees(root: tree_sitter.Node) -> Counter[str]:
    """S-expressions of the root and of every node below it that has children."""
    found: Counter[str] = Counter()
    nodes = [root]
    while nodes:
        node = nodes.pop()
        found[str(node)] += 1
        nodes.extend(child for child in node.children if child.child_count)
    return found


def _flows(root: tree_sitter.Node, code: str, language: str) -> Counter[Flow]:
    """The data flows of a tree, variables numbered by first appearance."""
    try:
        spans = codebleu.parser.tree_to_token_index(root)
        lines = code.split("\n")
        tokens = [codebleu.parser.index_to_code_token(span, lines) for span in spans]
        places = {span: (place, tokens[place]) for place, span in enumerate(spans)}
        raw, _ = LANGUAGES[language][1](root, places, {})
    except (AttributeError, IndexError, KeyError, NameError, TypeError, ValueError):
        return Counter()  # 0.7.0's functions do not know this construct: no data flow
    raw = sorted(raw, key=lambda item: item[1])
    used = {item[1] for item in raw if item[4]} | {place for item in raw for place in item[4]}
    merged: dict[int, tuple[str, str, list[str], list[int]]] = {}
    for name, place, relation, sources, source_places in raw:
        if place not in used:
            continue
        if place in merged:
            first = merged[place]
            sources = list(dict.fromkeys(first[2] + sources))
            source_places = sorted({*first[3], *source_places})
        merged[place] = (name, relation, sources, source_places)
    numbers: dict[str, str] = {}
    flows: Counter[Flow] = Counter()
    for name, relation, sources, source_places in merged.values():
        ordered = _in_source_order(sources, source_places, tokens)
        for each_name in (*ordered, name):
            numbers.setdefault(each_name, f"var_{len(numbers)}")
        flows[(numbers[name], relation, tuple(numbers[source] for source in ordered))] += 1
    return flows


def _in_source_order(sources: list[str], places: list[int], tokens: list[str]) -> list[str]:
    """Order names that went through a ``set`` by where they first stand in the text.

    Lists with repeated names never went through one and keep their order.
    """
    if len(set(sources)) < len(sources):
        return sources
    first: dict[str, int] = {}
    for place in sorted(places):
        first.setdefault(tokens[place], place)
    return sorted(sources, key=lambda source: (first.get(source, len(tokens)), source))
