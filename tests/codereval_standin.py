"""A small stand-in for CoderEval's environment: its layout, two projects, scripts of our own.

The scripts take and write what CoderEval's do (see ``bench.scoring.codereval``) and, as they,
name the absolute path at which the environment believes to be.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

_BUILDS = "/home/travis/builds"
#: How many seconds the scripts let a test run.
PATIENCE_S = {"python": 2, "java": 15}

_PYTHON_SCRIPT = f"""
import ast, json, os, subprocess, sys

outputs, count = sys.argv[1], int(sys.argv[2])
with open("CoderEval4Python.json") as file:
    tasks = {{task["_id"]: task for task in json.load(file)["RECORDS"]}}
with open(outputs) as lines, open(outputs + "_out.jsonl", "w") as verdicts:
    for line in lines:
        asked = json.loads(line)
        task = tasks[asked["_id"]]
        stem = task["file_path"].removesuffix(".py")
        place = f"{_BUILDS}/repos/" + task["project"].replace("/", "---")
        test = f"{{place}}/{{stem}}_{{task['name']}}_passk_validte.py"
        if not os.path.exists(test):
            test = f"{_BUILDS}/repos/standalone/{{stem}}-{{task['name']}}.py"
        text = open(test).read()
        lines_of_test = text.split("\\n")
        target = next(
            node for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef) and node.name == task["name"]
        )
        results = []
        for number, code in enumerate(asked["generate_results"][:count]):
            lead = " " * target.col_offset if not code.startswith(" ") else ""
            body = [lead + one for one in code.split("\\n")]
            changed = lines_of_test[: target.lineno - 1] + body + lines_of_test[target.end_lineno :]
            written = test.replace(".py", f"{{number}}.py")
            with open(written, "w") as file:
                file.write("\\n".join(changed))
            try:
                done = subprocess.run(
                    [sys.executable, written], capture_output=True, timeout={PATIENCE_S["python"]}
                )
            except subprocess.TimeoutExpired:
                continue
            results.append({{"generate_code": code, "is_pass": done.returncode == 0,
                             "return_code": done.returncode}})
        print("tested", asked["_id"])
        verdicts.write(json.dumps({{"_id": asked["_id"], "generate_results": results}}) + "\\n")
        verdicts.flush()
"""

_JAVA_SCRIPT = f"""
import json, os, subprocess, sys

outputs = sys.argv[1]
with open("CoderEval4Java.json") as file:
    tasks = {{task["_id"]: task for task in json.load(file)["RECORDS"]}}
with open(outputs) as lines, open(outputs + "_out.jsonl", "w") as verdicts:
    for line in lines:
        asked = json.loads(line)
        task = tasks[asked["_id"]]
        place = "{_BUILDS}/java/projects/" + task["project"].split("/")[-1]
        source = f"{{place}}/{{task['file_name']}}"
        original = open(source).read()
        between = original.split("\\n")[int(task["lineno"]) - 1 : int(task["end_lineno"])]
        results = []
        for code in asked["generate_results"]:
            result = {{"generate_code": code, "is_pass": False, "errormessage": ""}}
            results.append(result)
            with open(source, "w") as file:
                file.write(original.replace("\\n".join(between), code))
            java = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"]
            compiled = subprocess.run(
                ["javac", *("-J" + one for one in java), source, task["test"] + ".java"],
                capture_output=True, cwd=place,
            )
            if compiled.returncode != 0:
                result["errormessage"] = "compile error"
                continue
            try:
                done = subprocess.run(["java", *java, task["test"]], capture_output=True, cwd=place,
                                      timeout={PATIENCE_S["java"]})
            except subprocess.TimeoutExpired:
                result["errormessage"] = "exec error!"
                continue
            said = done.stdout.decode()
            result["is_pass"] = "true" in said and "false" not in said
            if not result["is_pass"]:
                result["errormessage"] = "exec error!"
        verdicts.write(json.dumps({{"_id": asked["_id"], "generate_results": results}}) + "\\n")
"""

_SHOUT = 'def shout(text):\n    return loud(text) + "!"'
_SHOUT_TEST = f"""
import sys
sys.path.append("{_BUILDS}/repos/someone---tiny")
from tiny.voices import loud


class Speaker:
    def shout(self, text):
        return loud(text) + "!"


if __name__ == "__main__":
    assert Speaker().shout("hey") == "HEY!"
"""
_DOUBLE_TEST = """
def double(number):
    return 2 * number


if __name__ == "__main__":
    assert [double(n) for n in (0, 4)] == [0, 8]
"""
_COUNTER = """public class Counter {
    public static int vowels(String text) {
        return text.replaceAll("[^aeiou]", "").length();
    }
}
"""
_COUNTER_TEST = """public class CounterVowels {
    public static void main(String[] arguments) {
        System.out.println(Counter.vowels("banana") == 3);
        System.out.println(Counter.vowels("") == 0);
    }
}
"""

SHOUT, DOUBLE, GONE, BROKEN = "5a01", "5a02", "5a03", "5a04"
VOWELS, LOST = "7b01", "7b02"


def _record(id_: str, project: str, path: str, name: str, code: str) -> dict[str, str]:
    return {"_id": id_, "project": project, "file_path": path, "name": name, "code": code}


def build(builds: Path) -> Path:
    """The stand-in in an empty folder ``builds``; two of its problems do not work."""
    method = '    def shout(self, text):\n        return loud(text) + "!"'
    double = "def double(number):\n    return 2 * number"
    python = [
        _record(SHOUT, "someone/tiny", "tiny/text.py", "shout", method),
        _record(DOUBLE, "someone/tiny", "tiny/numbers.py", "double", double),
        # a project that the environment lacks, and one whose own solution fails
        _record(GONE, "nobody/nothing", "gone.py", "gone", "def gone():\n    pass"),
        _record(
            BROKEN, "someone/tiny", "tiny/numbers.py", "double", "def double(n):\n    return n"
        ),
    ]
    vowels = _COUNTER.split("\n")[1:4]
    java = {
        "_id": VOWELS, "project": "someone/tiny-java", "file_name": "Counter.java",
        "name": "vowels", "lineno": "2", "end_lineno": "4", "test": "CounterVowels",
        "code": "\n".join(vowels),
    }  # fmt: skip
    lost = {**java, "_id": LOST, "project": "nobody/lost"}
    files = {
        "PythonExec.py": _PYTHON_SCRIPT,
        "CoderEval4Python.json": json.dumps({"RECORDS": python}),
        "repos/someone---tiny/tiny/__init__.py": "",
        "repos/someone---tiny/tiny/voices.py": "def loud(text):\n    return text.upper()\n",
        "repos/someone---tiny/tiny/text_shout_passk_validte.py": _SHOUT_TEST,
        "repos/standalone/tiny/numbers-double.py": _DOUBLE_TEST,
        "repos/another---project/README": "not needed\n",
        "java/JavaExec.py": _JAVA_SCRIPT,
        "java/CoderEval4Java.json": json.dumps({"RECORDS": [java, lost]}),
        "java/projects/tiny-java/Counter.java": _COUNTER,
        "java/projects/tiny-java/CounterVowels.java": _COUNTER_TEST,
        "java/projects/other-java/Other.java": "class Other {}\n",
    }
    for name, content in files.items():
        path = builds / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content).lstrip("\n"))
    for path in (builds, *builds.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return builds
