using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

/// <summary>
/// Compiles a batch of units in one process; one bad unit does not sink the rest.
///
/// Arguments: the assemblies that every unit may refer to. Reads: count, then per unit the
/// number of files and each file's name and text. Writes per unit: one and the assembly, or
/// zero and the first error. A unit that takes too much CPU time (a busy machine does not count)
/// ends the process.
/// </summary>
static class Compile
{
    const int UnitSeconds = 10;
    const int LargestBytes = 16 << 20;
    const int StackBytes = 64 << 20;

    static void Main(string[] arguments)
    {
        Deadline.Watch();
        var worker = new Thread(() => Serve(arguments), StackBytes);
        worker.Start();
        worker.Join();
    }

    static void Serve(string[] references)
    {
        using var input = new BufferedStream(Console.OpenStandardInput());
        using var output = new BufferedStream(Console.OpenStandardOutput());
        var options = new CSharpCompilationOptions(
            OutputKind.DynamicallyLinkedLibrary,
            optimizationLevel: OptimizationLevel.Release,
            concurrentBuild: false,
            generalDiagnosticOption: ReportDiagnostic.Suppress);
        var compilation = CSharpCompilation.Create(
            "Candidate",
            references: references.Select(path => MetadataReference.CreateFromFile(path)),
            options: options);
        output.WriteByte(1);
        output.Flush();
        for (int units = Channel.Int(input); units > 0; units--)
        {
            var trees = new List<SyntaxTree>();
            Deadline.Within(UnitSeconds);
            for (int files = Channel.Int(input); files > 0; files--)
            {
                string name = Channel.Text(input);
                trees.Add(CSharpSyntaxTree.ParseText(Channel.Text(input), path: name));
            }
            Unit(compilation, trees, output);
            Deadline.None();
            output.Flush();
        }
    }

    static void Unit(CSharpCompilation compilation, List<SyntaxTree> trees, Stream output)
    {
        var errors = trees.SelectMany(tree => tree.GetDiagnostics()).Where(IsError).ToList();
        using var assembly = new MemoryStream();
        if (errors.Count == 0)
        {
            var result = compilation.AddSyntaxTrees(trees).Emit(assembly);
            if (result.Success && assembly.Length > LargestBytes)
            {
                output.WriteByte(0);
                Channel.Block(output, Encoding.UTF8.GetBytes("the compiled code is too large"));
                return;
            }
            if (result.Success)
            {
                output.WriteByte(1);
                Channel.Block(output, assembly.ToArray());
                return;
            }
            errors = result.Diagnostics.Where(IsError).ToList();
        }
        string problem = errors.Count > 0 ? $"{errors[0].Id}: {errors[0].GetMessage()}" : "";
        output.WriteByte(0);
        Channel.Block(output, Encoding.UTF8.GetBytes(problem));
    }

    static bool IsError(Diagnostic diagnostic) => diagnostic.Severity == DiagnosticSeverity.Error;
}
