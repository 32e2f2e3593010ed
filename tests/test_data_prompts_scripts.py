"""The wording read out of scripts of the package's shape, in invented words."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bench.data.prompts import published as publishedprompts
from bench.data.prompts import scripts as packagescripts
from bench.errors import DataError
from bench.records import TRACKS, Track
from tests.test_data_prompts_wordings import INVENTED, written

JAVA, CS_JAVA = Track("generation", "java"), Track("translation", "cs_java")
TEMPLATE = (
    "{%- for message in messages -%}\\n{% if message['role'] == 'system' %}"
    "{{ '<' + message['content'] + '>' }}{% elif message['role'] == 'user' %}"
    "{{ '[' + message['content'] + ']' }}{% endif %}\\n{%- endfor -%}\\n"
    "{% if add_generation_prompt %}Now: {% endif %}"
)
#: What the invented prompt file says, as four kinds of scripts may say it.
SUMMARY_TRAIN = """
def chat_java(example, tokenizer):
    code = ' '.join(example['code_tokens'])
    chat = [
        {"role": "system", "content": "Tell about Java."},
        {"role": "user", "content": f"Tell (Java):\\n{code}"},
        {"role": "assistant", "content": f"BEGIN {' '.join(example['docstring_tokens'])} END"},
    ]
    if tokenizer.chat_template is None:
        tokenizer.chat_template = "never"
    return tokenizer.apply_chat_template(chat)

def chat_python(example, tokenizer):
    code = ' '.join(example['code_tokens'])
    chat = [
        {"role": "system", "content": "Tell about Python."},
        {"role": "user", "content": f"Tell (Python):\\n{code}"},
        {"role": "assistant", "content": f"BEGIN {' '.join(example['docstring_tokens'])} END"},
    ]
"""
GENERATION_TRAIN = """
def chat_java(example):
    text = example['input']
    output_text = example['output']
    summary_part = text.split("S:")[1].strip()
    signature_part = text.split("T:")[1].strip()
    user_prompt = f"one: {summary_part}"
    chat = [
        {"role": "system", "content": "Make Java."},
        {"role": "user", "content": user_prompt},
        {"role": "assistant", "content": output_text},
    ]

def chat_python(example):
    output_text = example['output']
    summary_part, signature_part = example['input'].split("T:")
    user_prompt = f"{summary_part} as {signature_part}"
    chat = [
        {"role": "system", "content": "Make Python."},
        {"role": "user", "content": user_prompt},
        {"role": "assistant", "content": output_text},
    ]
"""
TRANSLATION_TRAIN = """
def forth(example):
    return [
        {"role": "system", "content": "Turn."},
        {"role": "user", "content": f"Java to C#: {example['java']}"},
        {"role": "assistant", "content": example['cs']},
    ]

def back(example):
    return [
        {"role": "system", "content": "Turn."},
        {"role": "user", "content": f"C# to Java: {example['cs']}"},
        {"role": "assistant", "content": example['java']},
    ]
"""
MULTITASK = """
def chat_of(example, tokenizer, language=None, task="summarization", src_lang=None, tgt_lang=None):
    if task == "summarization":
        code = ' '.join(example['code_tokens'])
        if language == 'java':
            chat = [
                {"role": "system", "content": "Tell about Java."},
                {"role": "user", "content": f"Tell (Java):\\n{code}"},
                {"role": "assistant",
                 "content": f"BEGIN {' '.join(example['docstring_tokens'])} END"},
            ]
        else:
            chat = [
                {"role": "system", "content": "Tell about Python."},
                {"role": "user", "content": f"Tell (Python):\\n{code}"},
                {"role": "assistant",
                 "content": f"BEGIN {' '.join(example['docstring_tokens'])} END"},
            ]
    elif task == "generation":
        output_text = example['output']
        summary_part = example['input'].split("S:")[1]
        signature_part = example['input'].split("T:")[1]
        if language == 'java':
            user_prompt = f"many: {summary_part}"
            chat = [
                {"role": "system", "content": "Make Java."},
                {"role": "user", "content": user_prompt},
                {"role": "assistant", "content": output_text},
            ]
        else:
            user_prompt = f"{summary_part} as {signature_part}"
            chat = [
                {"role": "system", "content": "Make Python."},
                {"role": "user", "content": user_prompt},
                {"role": "assistant", "content": output_text},
            ]
    else:
        chat = [
            {"role": "system", "content": "Turn."},
            {"role": "user", "content": f"{src_lang} to {tgt_lang}: "
             f"{example['java'] if src_lang == 'Java' else example['cs']}"},
            {"role": "assistant",
             "content": example['cs'] if tgt_lang == 'C#' else example['java']},
        ]
"""
SUMMARY_ASK = """
def prepare(code, language, tokenizer):
    if language == 'java':
        system_prompt = "Tell about Java."
    else:
        system_prompt = "Tell about Python."
    chat = [
        {"role": "system", "content": system_prompt},
        {"role": "user", "content": f"Tell ({language.capitalize()}):\\n{code}"},
    ]
"""
GENERATION_ASK = f'''
def apply(codereval_input, language, tokenizer):
    if language == 'java':
        system_content = "Make Java."
    else:
        system_content = "Make Python."
    chat = [
        {{"role": "system", "content": system_content}},
        {{"role": "user", "content": codereval_input}},
    ]
    if tokenizer.chat_template is None:
        tokenizer.chat_template = "{TEMPLATE}"

def clean(code):
    if "You:" in code:
        code = code.split("You:")[0].strip()
    if code.startswith("Me:"):
        code = code[len("Me:"):].strip()
'''
TRANSLATION_ASK = f'''
def main(args, tokenizer, test_data):
    tokenizer.chat_template = "{TEMPLATE}"
    for item in test_data:
        source_code = item[args.source]
        system = "Turn."
        if args.direction == "cs_to_java":
            user = f"C# to Java: {{source_code}}"
        else:
            user = f"Java to C#: {{source_code}}"
        chat = [{{"role": "system", "content": system}}, {{"role": "user", "content": user}}]
'''
SCRIPTS = {
    "multitask/qlora_train.py": MULTITASK,
    "multitask/fft_train.py": MULTITASK,
    "summarization/qlora_train.py": SUMMARY_TRAIN,
    "summarization/fft_train.py": SUMMARY_TRAIN,
    "generation/qlora_train.py": GENERATION_TRAIN,
    "translation/fft_train.py": TRANSLATION_TRAIN,
    "summarization/codereval/infer_summarization_qlora.py": SUMMARY_ASK,
    "generation/codereval/infer_generation_fft.py": GENERATION_ASK,
    "translation/infer_translation_qlora.py": TRANSLATION_ASK,
}


def spread(folder: Path, **changed: str) -> dict[str, str]:
    """Write the scripts, some with ``old -> new`` texts, and return their SHA-256."""
    listed = {}
    for name, text in SCRIPTS.items():
        if name in changed:
            old, _, new = changed[name].partition(" -> ")
            assert old in text
            text = text.replace(old, new, 1)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        listed[name] = hashlib.sha256(text.encode()).hexdigest()
    return listed


def told_of(folder: Path) -> Path:
    """A prompt file that says the same as the scripts."""
    named = {
        f"{phase}__translation/{way}__user": text
        for phase in ("training", "inference")
        for way, text in (("java_cs", "Java to C#: {java}"), ("cs_java", "C# to Java: {cs}"))
    }
    summed = {
        f"{phase}__summarization/{language}__{role}": text.format(language.capitalize())
        for phase in ("training", "inference")
        for language in ("java", "python")
        for role, text in (("system", "Tell about {}."), ("user", "Tell ({}):\n{{code}}"))
    }
    asked = {
        f"inference__generation/{language}__system": f"Make {language.capitalize()}."
        for language in ("java", "python")
    }
    return written(folder, **named, **summed, **asked)  # fmt: skip


def test_scripts_and_prompt_file_say_the_same(tmp_path):
    built = packagescripts.build(tmp_path, spread(tmp_path))
    read = publishedprompts.read(told_of(tmp_path))
    assert built.training == read.training
    assert built.inference == read.inference
    assert built.marks == read.marks
    assert set(built.inference) == set(TRACKS)


def test_the_tasks_of_several_are_told_apart_from_one(tmp_path):
    built = packagescripts.build(tmp_path, spread(tmp_path))
    assert built.training[JAVA, True].user == "one: {summary}"
    assert built.training[JAVA, False].user == "many: {summary}"
    assert built.training[CS_JAVA, False].user == "C# to Java: {code}"
    assert built.inference[CS_JAVA].rendering.generation_prompt == "Now: "
    assert built.inference[JAVA].rendering is None


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("multitask/fft_train.py", "Make Java -> Build Java", "no chat of generation/java"),
        ("summarization/fft_train.py", "BEGIN -> START", "words its chats otherwise than qlora"),
        ("generation/qlora_train.py", "def chat_java( -> def chat_java)", "not a Python script"),
        ("translation/infer_translation_qlora.py", "{%- endfor -%} -> ", "its chat template"),
        ("generation/codereval/infer_generation_fft.py", 'startswith("Me:") -> strip()',
         "not one word that heads each turn"),
        ("generation/qlora_train.py", '"content": output_text -> "text": output_text',
         "no chat of generation/java"),
    ],
)  # fmt: skip
def test_scripts_that_are_not_as_expected_are_told_at_their_place(tmp_path, name, change, told):
    with pytest.raises(DataError) as caught:
        packagescripts.build(tmp_path, spread(tmp_path, **{name: change}))
    assert told in caught.value.problem
    assert str(tmp_path / name) in caught.value.problem


def test_a_changed_or_missing_script_is_refused(tmp_path):
    listed = spread(tmp_path)
    (tmp_path / "multitask/fft_train.py").write_text("pass\n")
    with pytest.raises(DataError, match=r"fft_train.py: changed: its SHA-256 is"):
        packagescripts.build(tmp_path, listed)
    (tmp_path / "multitask/fft_train.py").unlink()
    with pytest.raises(DataError, match="this script of the package is missing"):
        packagescripts.build(tmp_path, listed)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A data folder whose listed scripts are the invented ones."""
    folder = tmp_path / "paper_package"
    listed = spread(folder)
    table = tmp_path / "scripts.tsv"
    table.write_text("path\tsha256\n" + "".join(f"{n}\t{s}\n" for n, s in listed.items()))
    monkeypatch.setattr(packagescripts.listed, "__defaults__", (table,))
    return tmp_path


def test_scripts_alone_stand_for_the_prompt_file(package):
    assert publishedprompts.from_scripts(package)
    taught = publishedprompts.load("training", single=True, mirror=package)
    assert taught.wordings[JAVA].user == "one: {summary}"
    assert taught.marks.begin == "BEGIN"
    asked = publishedprompts.load("inference", single=True, mirror=package)
    assert asked.wordings[CS_JAVA].rendering is not None
    assert asked.digest == taught.digest


def test_scripts_that_contradict_the_prompt_file_are_told(package, monkeypatch):
    path = told_of(package / "paper_package")
    monkeypatch.setattr(publishedprompts.sources, "locate", lambda *_: path)
    assert publishedprompts.load("training", single=False, mirror=package).wordings
    content = json.loads(path.read_text())
    content["inference"]["generation/java"]["system"] = "Build Java."
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"prompts\.json and the scripts differ in inference gen"):
        publishedprompts.load("training", single=False, mirror=package)


def test_the_listed_scripts_are_those_of_the_prompt_file(mirror):
    content = json.loads((mirror / publishedprompts.FILE).read_text())
    assert packagescripts.listed() == content["scripts"]
    assert not packagescripts.present(mirror / "paper_package")


def test_the_invented_file_has_what_the_published_one_has(mirror):
    content = json.loads((mirror / publishedprompts.FILE).read_text())
    for part in ("training", "inference", "extraction"):
        assert set(INVENTED[part]) == set(content[part])
