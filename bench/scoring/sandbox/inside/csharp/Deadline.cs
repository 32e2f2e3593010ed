using System;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading;

/// <summary>
/// Ends the process when one piece of work takes too much CPU time; a busy machine does not
/// count. The other side sees where the answers stop, and goes on behind that piece.
/// </summary>
static class Deadline
{
    const int ExitCode = 9;
    static double end = double.MaxValue;

    public static void Watch() => new Thread(Look) { IsBackground = true }.Start();

    public static void Within(int seconds) => Volatile.Write(ref end, CpuSeconds() + seconds);

    public static void None() => Volatile.Write(ref end, double.MaxValue);

    /// <summary>At once: an orderly exit waits for what may not come to an end.</summary>
    [DllImport("libc", EntryPoint = "_exit")]
    static extern void End(int code);

    static double CpuSeconds() => Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds;

    static void Look()
    {
        do
        {
            Thread.Sleep(500);
        }
        while (CpuSeconds() < Volatile.Read(ref end));
        End(ExitCode);
    }
}
