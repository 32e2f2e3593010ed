"""Which tools there are to execute outputs with, and getting those that can be got."""

from __future__ import annotations

from collections.abc import Callable

from bench.errors import MachineError
from bench.scoring.sandbox import dotnet, jdk
from bench.scoring.sandbox.jail import find_jail


def found() -> dict[str, str | bool | None]:
    """What decides whether and how outputs are executed here, for the key of scores.

    ``sandbox`` says whether outputs can be confined, ``java`` and ``csharp`` with what they
    are compiled and run, None where they cannot be. Cheap: nothing is installed or compiled.
    """
    try:
        java: str | None = jdk.version(jdk.home())
    except MachineError:
        java = None
    return {
        "sandbox": find_jail().unavailable is None,
        "java": java,
        "csharp": dotnet.obtainable(),
    }


def prepare() -> dict[str, str]:
    """Install and compile what grading needs; per language why it cannot be graded here."""
    absent = {}
    tools: dict[str, Callable[[], object]] = {"java": jdk.jdk, "csharp": dotnet.dotnet}
    for language, tool in tools.items():
        try:
            tool()
        except MachineError as error:
            absent[language] = str(error)
    return absent
