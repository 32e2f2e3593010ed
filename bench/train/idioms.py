"""The idioms of the pretraining material, as data: phrases and functions with slots.

The rows of a table stand in the order of how common they are, see ``material.draw``.

``FUNCTIONS`` holds blocks: a line ``summary | name`` (or several, one of which is drawn)
above a Python function in the subset of ``bench.train.mirror``. ``<c.test x>`` stands for
the field ``test`` of a drawn row of the table ``c``, its ``@`` replaced by ``x``.
"""

from __future__ import annotations

Row = dict[str, str]

_NUMERALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen twenty"
)
NUMERALS = _NUMERALS.split()

_SIGNS = (
    "; semicolon|: colon|, comma|. dot|- hyphen|_ underscore|/ slash|* star|# hash|+ plus sign"
    "|= equals sign|? question mark|! exclamation mark|$ dollar sign|% percent sign|@ at sign"
    "|& ampersand|~ tilde|^ caret|' apostrophe|0 zero|1 one|5 five|9 nine|x letter x|e letter e"
    "|Z capital Z|( opening parenthesis|) closing parenthesis|[ opening bracket|} closing brace"
)
_SETS = (
    "aeiouAEIOU vowel|aeiou lowercase vowel|AEIOU uppercase vowel|.,;:!? punctuation mark"
    "|()[]{} bracket|+-*/ operator|02468 even digit|13579 odd digit|01 binary digit"
    "|01234567 octal digit|0123456789abcdef hexadecimal digit|.!? sentence end|,; separator"
    "|+- sign|<> angle bracket|-_ joiner|xyz late letter|abc early letter|() parenthesis"
    "|[] square bracket|{} brace|/: divider|0369 multiple of three|2357 prime digit"
)
_RANGES = (
    "0 9 digit|a z lowercase letter|A Z uppercase letter|0 4 small digit|5 9 large digit"
    "|a m early letter|n z late letter|A F hexadecimal capital|1 9 nonzero digit"
)
_IRREGULAR = {"parenthesis": "parentheses", "hash": "hashes", "slash": "slashes", "box": "boxes"}


def plural(noun: str) -> str:
    """The plural of a noun phrase that the tables use."""
    head, _, last = noun.rpartition(" ")
    if noun.startswith(("letter ", "capital ", "multiple ")):
        first, rest = noun.split(" ", 1)
        return f"{first}s {rest}"
    many = next((p for s, p in _IRREGULAR.items() if last.endswith(s)), last + "s")
    return f"{head} {many}".strip()


def _characters() -> list[Row]:
    rows = [("  space", '@ == " "', '@ != " "')]
    for entry in _RANGES.split("|"):
        low, high, kind = entry.split(" ", 2)
        rows.append((f"? {kind}", f'"{low}" <= @ <= "{high}"', f'@ < "{low}" or @ > "{high}"'))
    for entry in _SETS.split("|"):
        members, kind = entry.split(" ", 1)
        rows.append((f"? {kind}", f'@ in "{members}"', f'@ not in "{members}"'))
    for entry in _SIGNS.split("|"):
        sign, kind = entry.split(" ", 1)
        rows.append((f"{sign} {kind}", f'@ == "{sign}"', f'@ != "{sign}"'))
    return [
        {"one": name[2:], "many": plural(name[2:]), "sign": name[0], "test": test, "unless": unless}
        for name, test, unless in rows
    ]


def _numbers() -> list[Row]:
    rows = [
        ("even number", "@ % 2 == 0", "@ % 2 != 0"),
        ("odd number", "@ % 2 != 0", "@ % 2 == 0"),
        ("positive number", "@ > 0", "@ <= 0"),
        ("negative number", "@ < 0", "@ >= 0"),
        ("nonzero number", "@ != 0", "@ == 0"),
        ("two-digit number", "10 <= @ <= 99", "@ < 10 or @ > 99"),
        ("three-digit number", "100 <= @ <= 999", "@ < 100 or @ > 999"),
    ]
    for value in range(3, 21):
        word = NUMERALS[value]
        rows.append((f"multiple of {word}", f"@ % {value} == 0", f"@ % {value} != 0"))
        rows.append((f"number above {word}", f"@ > {value}", f"@ <= {value}"))
        rows.append((f"number below {word}", f"@ < {value}", f"@ >= {value}"))
    for value in range(10):
        word = NUMERALS[value]
        rows.append((f"number ending in {word}", f"@ % 10 == {value}", f"@ % 10 != {value}"))
    for low, high in ((1, 6), (2, 9), (0, 12), (5, 15), (10, 20)):
        words = f"number from {NUMERALS[low]} to {NUMERALS[high]}"
        rows.append((words, f"{low} <= @ <= {high}", f"@ < {low} or @ > {high}"))
    return [
        {"one": name, "many": name.replace("number", "numbers").replace("multiple", "multiples"),
         "test": test, "unless": unless}
        for name, test, unless in rows
    ]  # fmt: skip


def _words() -> list[Row]:
    rows = [("empty word", '@ == ""', '@ != ""')]
    for value in range(2, 10):
        word = NUMERALS[value]
        rows += [
            (f"word with more than {word} letters", f"len(@) > {value}", f"len(@) <= {value}"),
            (f"word with fewer than {word} letters", f"len(@) < {value}", f"len(@) >= {value}"),
            (f"word of {word} letters", f"len(@) == {value}", f"len(@) != {value}"),
        ]
    rows.append(("word of odd length", "len(@) % 2 != 0", "len(@) % 2 == 0"))
    rows.append(("word of even length", "len(@) % 2 == 0", "len(@) % 2 != 0"))
    for letter in "abdegikmnoprstuwyz":
        starts, ends = f'@.startswith("{letter}")', f'@.endswith("{letter}")'
        rows += [
            (f"word starting with {letter}", starts, f"not {starts}"),
            (f"word ending in {letter}", ends, f"not {ends}"),
            (f"word with the letter {letter}", f'"{letter}" in @', f'"{letter}" not in @'),
        ]
    for entry in _SIGNS.split("|")[:17]:
        sign, kind = entry.split(" ", 1)
        rows.append((f"word with {plural(kind)}", f'"{sign}" in @', f'"{sign}" not in @'))
    return [
        {"one": name, "many": name.replace("word", "words", 1), "test": test, "unless": unless}
        for name, test, unless in rows
    ]


def _changes() -> list[Row]:
    """What is done to each number: verb, tail of the phrase, expression."""
    rows = [
        ("Double", "", "@ * 2"), ("Triple", "", "@ * 3"), ("Halve", "", "@ // 2"),
        ("Square", "", "@ * @"), ("Cube", "", "@ * @ * @"), ("Negate", "", "-@"),
        ("Quadruple", "", "@ * 4"),
    ]  # fmt: skip
    for value in range(2, 16):
        word = NUMERALS[value]
        rows += [
            ("Raise", f" by {word}", f"@ + {value}"),
            ("Lower", f" by {word}", f"@ - {value}"),
            ("Multiply", f" by {word}", f"@ * {value}"),
            ("Divide", f" by {word}", f"@ // {value}"),
            ("Limit", f" to at most {word}", f"min(@, {value})"),
            ("Lift", f" to at least {word}", f"max(@, {value})"),
        ]
    return [{"verb": verb, "tail": tail, "value": value} for verb, tail, value in rows]


def _signs() -> list[Row]:
    """Separators and marks by name."""
    rows = (entry.split(" ", 1) for entry in (" |".join(("",)) + _SIGNS).split("|")[:18])
    return [{"sign": sign, "one": kind, "many": plural(kind)} for sign, kind in rows]


def _small() -> list[Row]:
    return [{"word": NUMERALS[n], "value": str(n)} for n in range(2, 16)]


def _units() -> list[Row]:
    pairs = (
        "hours minutes * 60|minutes seconds * 60|days hours * 24|weeks days * 7|years months * 12"
        "|feet inches * 12|yards feet * 3|dozens pieces * 12|kilograms grams * 1000"
        "|meters centimeters * 100|liters milliliters * 1000|dollars cents * 100"
        "|inches centimeters * 2.54|pounds kilograms * 0.4536|gallons liters * 3.785"
        "|acres hectares * 0.4047|knots kilometers * 1.852|quarts pints * 2|bytes bits * 8"
        "|grams kilograms / 1000|cents dollars / 100|millimeters meters / 1000|minutes hours / 60"
        "|months years / 12|pints gallons / 8|ounces grams * 28.35|stones pounds * 14"
    )
    rows = (pair.split(" ") for pair in pairs.split("|"))
    return [{"old": old, "new": new, "value": f"@ {op} {factor}"} for old, new, op, factor in rows]


def _things() -> list[Row]:
    """What a map holds about an item."""
    things = "weight age height grade rank color size code wage budget length owner"
    return [{"one": thing, "many": thing + "s"} for thing in things.split()]


TABLES: dict[str, list[Row]] = {
    "c": _characters(), "d": _characters(), "m": _numbers(), "w": _words(), "x": _changes(),
    "s": _signs(), "t": _signs(), "n": _small(), "k": _small(), "u": _units(), "i": _things(),
}  # fmt: skip

#: Nouns that stand for the house's own ones in a share of the functions.
NOUNS = {
    "numbers": ("values", "scores", "prices", "ages", "sizes", "points", "weights", "amounts"),
    "words": ("names", "lines", "labels", "titles", "codes", "texts"),
    "text": ("line", "sentence", "message", "phrase"),
}
