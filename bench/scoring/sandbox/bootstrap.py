"""Compiles the kit's C# programs where no .NET SDK is: Roslyn, hosted by this Python process.

Run as a program of its own (a process can host one .NET runtime, and only once):
``python bootstrap.py REQUEST``, a JSON file with ``dotnet`` (root of the runtime),
``config`` (a runtimeconfig.json), ``roslyn`` (folder), ``references`` (assemblies) and
``programs`` (name to {"sources", "output"}). Exits with 1 and the errors on a failure.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main(request: dict[str, Any]) -> int:
    """Compile every program of the request; 0 where all compile."""
    importlib.import_module("pythonnet").load(
        "coreclr", runtime_config=request["config"], dotnet_root=request["dotnet"]
    )
    clr = importlib.import_module("clr")
    for name in ("Microsoft.CodeAnalysis", "Microsoft.CodeAnalysis.CSharp"):
        clr.AddReference(str(Path(request["roslyn"]) / f"{name}.dll"))
    analysis = importlib.import_module("Microsoft.CodeAnalysis")
    csharp = importlib.import_module("Microsoft.CodeAnalysis.CSharp")
    lists = importlib.import_module("System.Collections.Generic")
    files = importlib.import_module("System.IO")
    references = lists.List[analysis.MetadataReference]()
    for path in request["references"]:
        references.Add(analysis.MetadataReference.CreateFromFile(path))
    failed = False
    for name, program in request["programs"].items():
        trees = lists.List[analysis.SyntaxTree]()
        for source in program["sources"]:
            text = Path(source).read_text(encoding="utf-8")
            trees.Add(csharp.CSharpSyntaxTree.ParseText(text, path=source))
        options = csharp.CSharpCompilationOptions(analysis.OutputKind.ConsoleApplication)
        options = options.WithOptimizationLevel(analysis.OptimizationLevel.Release)
        options = options.WithDeterministic(True)
        compilation = csharp.CSharpCompilation.Create(name, trees, references, options)
        output = files.File.Create(program["output"])
        result = compilation.Emit(output)
        output.Close()
        for diagnostic in result.Diagnostics:
            if str(diagnostic.Severity) == "Error":
                print(diagnostic.ToString(), file=sys.stderr)
        failed = failed or not result.Success
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
