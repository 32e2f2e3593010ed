using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

/// <summary>
/// The parser's diagnostics of a batch of snippets in one process; nothing is compiled or run.
///
/// Reads: count, then per snippet the number of files (one), its name and its text. Writes per
/// snippet: one, then the diagnostics of the text as it stands and those of the text as members
/// of a class, each as ids with their severity before them ("ECS1513 WCS0078"). A snippet that
/// takes too much CPU time ends the process.
/// </summary>
static class Diagnose
{
    const int SnippetSeconds = 3;
    const int StackBytes = 64 << 20;

    static void Main()
    {
        Deadline.Watch();
        var worker = new Thread(Serve, StackBytes);
        worker.Start();
        worker.Join();
    }

    static void Serve()
    {
        using var input = new BufferedStream(Console.OpenStandardInput());
        using var output = new BufferedStream(Console.OpenStandardOutput());
        output.WriteByte(1);
        output.Flush();
        for (int snippets = Channel.Int(input); snippets > 0; snippets--)
        {
            Channel.Int(input);
            Channel.Text(input);
            string text = Channel.Text(input);
            Deadline.Within(SnippetSeconds);
            SyntaxTree tree = CSharpSyntaxTree.ParseText(text);
            string asItStands = Listed(tree);
            string asMembers = Listed(InClass(text, (CompilationUnitSyntax)tree.GetRoot()) ?? tree);
            Deadline.None();
            output.WriteByte(1);
            Channel.Block(output, Encoding.ASCII.GetBytes(asItStands));
            Channel.Block(output, Encoding.ASCII.GetBytes(asMembers));
            output.Flush();
        }
    }

    /// <summary>
    /// The text with a class around what follows its using directives; null for a whole file,
    /// which has a namespace of its own.
    /// </summary>
    static SyntaxTree InClass(string text, CompilationUnitSyntax root)
    {
        if (root.Members.Any(member => member is BaseNamespaceDeclarationSyntax))
        {
            return null;
        }
        IEnumerable<SyntaxNode> directives = root.Externs.Concat<SyntaxNode>(root.Usings);
        int top = directives.Select(node => node.Span.End).DefaultIfEmpty(0).Max();
        string wrapped = text[..top] + "\nclass Snippet\n{\n" + text[top..] + "\n}\n";
        return CSharpSyntaxTree.ParseText(wrapped);
    }

    static string Listed(SyntaxTree tree) => string.Join(' ', tree.GetDiagnostics().Select(
        found => (found.Severity == DiagnosticSeverity.Error ? "E" : "W") + found.Id));
}
