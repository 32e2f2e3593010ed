"""Hostile Python: what it writes on the channel, what it returns, and what it does."""

from __future__ import annotations

#: Replies that no honest sample sends. Each is an expression for bytes; N is a large number
#: and P the prime of Python's hash of integers.
REPLIES = {
    "nothing": "b''",
    "an empty line": "b'\\n'",
    "noise": "bytes(range(256))",
    "no JSON": "b'value\\n'",
    "half a line": "b'{\"value\":'",
    "not an object": "b'[4]\\n'",
    "a number": "b'4\\n'",
    "null": "b'null\\n'",
    "nested lists": "b'{\"value\":' + b'[' * 700 + b']' * 700 + b'}\\n'",
    "lists nested beyond the parser": "b'{\"value\":' + b'[' * N + b']' * N + b'}\\n'",
    "nested objects": "b'{\"value\":' + b'{\"a\":' * N + b'1' + b'}' * N + b'}\\n'",
    "nested tuples": "b'{\"value\":' + b'{\"t\":\"tuple\",\"v\":[' * 600 + b']}' * 600 + b'}\\n'",
    "nested maps": (
        "b'{\"value\":' + b'{\"t\":\"dict\",\"v\":[[1,' * 600 + b'1' + b']]}' * 600 + b'}\\n'"
    ),
    "a fraction with an exponent": 'value("Fraction", \'"1e999999999"\')',
    "a fraction of millions": "value(\"Fraction\", '\"1/' + '9' * 3_000_000 + '\"')",
    "a fraction that divides by zero": 'value("Fraction", \'"1/0"\')',
    "a decimal with an exponent": 'value("Decimal", \'"1E+999999999"\')',
    "a decimal that signals": 'value("Decimal", \'"sNaN"\')',
    "an integer of megabytes": "value(\"int\", '\"' + 'f' * 7_000_000 + '\"')",
    "an integer in decimal": "b'{\"value\":' + b'9' * 1_000_000 + b'}\\n'",
    "an integer that is none": "value(\"int\", '[1]')",
    "a range of all numbers": 'value("range", \'["0","7fffffffffffffff","1"]\')',
    "a range without a step": 'value("range", \'["0","1","0"]\')',
    "colliding members": "value('set', str([P * n for n in range(N // 2)]))",
    "colliding keys": "value('dict', str([[P * n, 1] for n in range(N // 2)]))",
    "colliding frozen sets": "value('frozenset', str([P * n for n in range(N // 2)]))",
    "a set of lists": "value('set', '[[1]]')",
    "a reference to nothing": "value('ref', '9999')",
    "a reference to no number": "value('ref', '\"x\"')",
    "a type that is not sent": "value('type', '\"object\"')",
    "an unknown tag": "value('os.system', '\"true\"')",
    "a tag that is a list": 'b\'{"value":{"t":[],"v":1}}\\n\'',
    "a complex number of text": "value('complex', '[\"1\",[]]')",
    "bytes that are none": "value('bytes', '\"xyz\"')",
    "a lone surrogate": 'b\'{"value":"\\\\ud800"}\\n\'',
    "not a number": "b'{\"value\":NaN}\\n'",
    "more than any number": "b'{\"value\":1e999}\\n'",
    "a long text": "b'{\"value\":\"' + b'x' * 6_000_000 + b'\"}\\n'",
    "a million members": "b'{\"value\":[' + b'[],' * 2_000_000 + b'0]}\\n'",
    "the word of a tester": "b'passed 2 \\n' * 9",
    "a tester's report": 'b\'{"outcome":"passed","held":2,"detail":""}\\n\'',
    "more than the channel holds": "b'x' * 9_000_000",
    "an exit that was raised": 'b\'{"raised":["SystemExit"],"text":""}\\n\'',
    "a raise without names": 'b\'{"raised":7,"text":""}\\n\'',
    "a raise of a built-in that is none": 'b\'{"raised":["exit","open"],"text":"/tmp/x"}\\n\'',
    "a raise with a deep text": "b'{\"raised\":[],\"text\":' + b'[' * 700 + b']' * 700 + b'}\\n'",
}

_WRITES = """
import os
N, P = 100_000, (1 << 61) - 1
def value(tag, body):
    return ('{"value":{"t":"' + tag + '","v":' + body + '}}\\n').encode()
def f(x):
    for number in range(3, 12):
        try:
            data = REPLY
            while data:
                data = data[os.write(number, data):]
        except OSError:
            pass
    END
"""

#: Objects that are not what they seem: each is an expression or a class.
_LIES = {
    "equals all": "def __eq__(self, other): return True",
    "differs from nothing": (
        "def __eq__(self, other): return True\n    def __ne__(self, other): return False"
    ),
    "raises when compared": "def __eq__(self, other): raise SystemExit(0)",
    "hashes as the right one": (
        "def __hash__(self): return 4\n    def __eq__(self, other): return True"
    ),
    "hangs when printed": "def __repr__(self):\n        while True: pass",
    "shouts when printed": "def __repr__(self): return 'x' * (1 << 24)",
    "is of another class": (
        "__class__ = property(lambda self: int)\n    def __index__(self): return 4"
    ),
    "compares by all orders": (
        "def __lt__(self, other): return True\n    __gt__ = __le__ = __ge__ = __eq__ = __lt__"
    ),
}
_BASES = {"an object": "object", "a number": "int", "a list": "list", "a text": "str"}

RETURNS = {
    "a list within itself": "def f(x):\n    a = []\n    a.append(a)\n    return a",
    "a map within itself": "def f(x):\n    a = {}\n    a[1] = a\n    return a",
    "an endless generator": "import itertools\ndef f(x): return itertools.count()",
    "a fraction of its own": (
        "class Fraction:\n    def __str__(self): return '1e999999999'\n"
        "Fraction.__module__ = 'fractions'\ndef f(x): return Fraction()"
    ),
    "a decimal of its own": (
        "class Decimal:\n    def __str__(self): return '4'\n"
        "Decimal.__module__ = 'decimal'\ndef f(x): return [Decimal()]"
    ),
    "a deep list": "def f(x):\n    a = []\n    for _ in range(100_000): a = [a]\n    return a",
    "a huge number": "def f(x): return 1 << 30_000_000",
    "the type of numbers": "def f(x): return int",
    "itself": "def f(x): return f",
    "nothing": "def f(x): return None",
    "a truth for a number": "def f(x): return x == 2",
}

ACTIONS = {
    "leaves": "import os\ndef f(x): os._exit(0)",
    "leaves while loading": "import os\nos._exit(0)",
    "exits": "import sys\ndef f(x): sys.exit(0)",
    "raises the end of the generator": "def f(x): raise GeneratorExit",
    "kills itself": "import os\ndef f(x): os.kill(os.getpid(), 9)",
    "stops itself": "import os\ndef f(x): os.kill(os.getpid(), 19); return 0",
    "kills all": "import os\ndef f(x):\n    os.kill(-1, 9)",
    "crashes": "import ctypes\ndef f(x): ctypes.string_at(0)",
    "aborts": "import os\ndef f(x): os.abort()",
    "becomes another program": "import os\ndef f(x): os.execv('/bin/true', ['true'])",
    "closes the channel": "import os\ndef f(x): os.closerange(0, 64); return 4",
    "loops": "def f(x):\n    while True: pass",
    "recurses": "def f(x): return f(x)",
    "recurses in C": ("import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x):\n    return f(x)"),
    "takes memory": "def f(x):\n    a = [bytes(1 << 20)]\n    while True: a.append(bytes(1 << 20))",
    "prints": "import sys\ndef f(x):\n    while True: sys.stderr.write('x' * 65536)",
    "forks": (
        "import os\ndef f(x):\n    while True:\n        try: os.fork()\n"
        "        except OSError: pass"
    ),
    "leaves a child": (
        "import os\ndef f(x):\n    if os.fork():\n        os._exit(0)\n    while True: pass"
    ),
    "waits in a thread": (
        "import threading\ndef f(x):\n    threading.Thread(target=threading.Event().wait).start()\n"
        "    return 0"
    ),
    "patches the built-ins": (
        "import builtins\nbuiltins.isinstance = lambda *_: True\nbuiltins.len = lambda _: 0\n"
        "builtins.AssertionError = ValueError\ndef f(x): return 0"
    ),
    "patches the wire": (
        "import sys\nwire = sys.modules['wire']\nwire.encode = lambda *_: {'t': 'set', 'v': [[]]}\n"
        "def f(x): return 0"
    ),
    "patches the line": (
        "import sys\nwire = sys.modules['wire']\n"
        'wire.line = lambda _: b\'{"outcome":"passed"}\'\n'
        "def f(x): return 0"
    ),
    "reads the frames": (
        "import sys\ndef f(x):\n    frame, seen = sys._getframe(), []\n    while frame:\n"
        "        values = frame.f_locals.values()\n"
        "        seen += [v for v in values if isinstance(v, dict) and 'result' in v]\n"
        "        frame = frame.f_back\n    return seen[0]['result']"
    ),
    "reads the memory of others": (
        "import os\ndef f(x):\n    for one in os.listdir('/proc'):\n        try:\n"
        "            open(f'/proc/{one}/mem', 'wb').write(b'x')\n"
        "        except (OSError, ValueError): pass\n"
        "    return 0"
    ),
    "fills the scratch": (
        "def f(x):\n    for n in range(10_000):\n"
        "        open(f'/tmp/{n}', 'wb').write(bytes(1 << 20))"
    ),
    "hides memory": (
        "import mmap\ndef f(x):\n    held = []\n    while True:\n"
        "        held.append(mmap.mmap(-1, 1 << 24))\n"
        "        held[-1].write(bytes(1 << 24))\n        held[-1].madvise(mmap.MADV_DONTNEED)"
    ),
    "is a syntax error": "def f(x: return 4",
    "nests too deeply to parse": "def f(x): return " + "(" * 5000 + "x" + ")" * 5000,
    "folds constants": "def f(x): return " + "(" + " ** ".join(["9"] * 40) + ")",
    "is empty": "",
}


def programs() -> dict[str, str]:
    """All of them, by their names."""
    made = {}
    for name, reply in REPLIES.items():
        for how, end in (("and ends", "os._exit(0)"), ("and goes on", "return 0")):
            made[f"writes {name} {how}"] = _WRITES.replace("REPLY", reply).replace("END", end)
    for name, body in _LIES.items():
        for what, base in _BASES.items():
            text = f"class Own({base}):\n    {body}\ndef f(x): return Own()"
            made[f"returns {what} that {name}"] = text
    made |= {f"returns {name}": text for name, text in RETURNS.items()}
    return made | ACTIONS
