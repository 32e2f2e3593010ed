using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Threading;

/// <summary>
/// Runs one compiled sample inside the jail: reads the assembly, the name of the method and
/// the arguments of every call, and answers each call. Standard output is taken over before
/// model-written code is loaded; answers are claims about values, which the other side compares.
/// </summary>
static class Run
{
    const byte Ready = 1, Loaded = 2, Value = 3, Raised = 4;
    const int StackBytes = 16 << 20;
    const BindingFlags Any = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static
        | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    static void Main()
    {
        var worker = new Thread(Serve, StackBytes);
        worker.Start();
        worker.Join();
        Environment.Exit(0);
    }

    static void Serve()
    {
        var input = new BufferedStream(Console.OpenStandardInput(), 1 << 16);
        var output = Console.OpenStandardOutput();
        Console.SetOut(Console.Error);
        Console.SetIn(TextReader.Null);
        output.WriteByte(Ready);
        Assembly sample = Assembly.Load(Channel.Bytes(input, Channel.Int(input)));
        string name = Channel.Text(input);
        MethodInfo method = null;
        object owner = null;
        for (int calls = Channel.Int(input); calls > 0; calls--)
        {
            object[] plain = Values.ReadAll(input);
            using var answer = new MemoryStream();
            try
            {
                if (method == null)
                {
                    method = Find(sample, name, plain.Length);
                    owner = method.IsStatic ? null : Activator.CreateInstance(method.DeclaringType, true);
                    output.WriteByte(Loaded);
                }
                ParameterInfo[] parameters = method.GetParameters();
                object[] given = plain
                    .Select((item, n) => Values.Convert(item, parameters[n].ParameterType))
                    .ToArray();
                object result = method.Invoke(owner, given);
                answer.WriteByte(Value);
                Values.Write(result, answer, 0);
            }
            catch (Exception thrown)
            {
                answer.SetLength(0);
                Exception cause = thrown is TargetInvocationException ? thrown.InnerException : thrown;
                Report(cause, answer);
            }
            output.Write(answer.ToArray());
            output.Flush();
            if (method == null)
            {
                return;
            }
        }
    }

    static MethodInfo Find(Assembly sample, string name, int parameters)
    {
        MethodInfo[] found = sample.GetTypes()
            .SelectMany(type => type.GetMethods(Any))
            .Where(method => method.Name == name && method.GetParameters().Length == parameters)
            .OrderByDescending(method => method.IsStatic)
            .ToArray();
        if (found.Length == 0)
        {
            throw new MissingMethodException($"{name} with {parameters} parameters");
        }
        MethodInfo method = found[0];
        if (!method.IsGenericMethodDefinition)
        {
            return method;
        }
        return method.MakeGenericMethod(
            method.GetGenericArguments().Select(_ => typeof(object)).ToArray());
    }

    static void Report(Exception thrown, Stream answer)
    {
        var names = new List<string>();
        for (Type type = thrown.GetType(); type != null; type = type.BaseType)
        {
            if (type.Assembly == typeof(object).Assembly)
            {
                names.Add(type.FullName);
            }
        }
        string text = thrown.GetType().FullName;
        try
        {
            text += ": " + thrown.Message;
        }
        catch (Exception)
        {
            text += " (its message failed)";
        }
        answer.WriteByte(Raised);
        Channel.Int(answer, names.Count);
        names.ForEach(name => Values.Write(name, answer, 0));
        Values.Write(text.Length > 300 ? text[..300] : text, answer, 0);
    }
}
