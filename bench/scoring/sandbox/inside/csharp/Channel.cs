using System;
using System.Buffers.Binary;
using System.IO;
using System.Text;

/// <summary>Big-endian primitives over the two ends of a process (see binary.py).</summary>
static class Channel
{
    public static byte Byte(Stream input)
    {
        int value = input.ReadByte();
        return value < 0 ? throw new EndOfStreamException() : (byte)value;
    }

    public static byte[] Bytes(Stream input, int count)
    {
        var bytes = new byte[count];
        input.ReadExactly(bytes);
        return bytes;
    }

    public static int Int(Stream input) => BinaryPrimitives.ReadInt32BigEndian(Bytes(input, 4));

    public static long Long(Stream input) => BinaryPrimitives.ReadInt64BigEndian(Bytes(input, 8));

    public static double Double(Stream input) =>
        BinaryPrimitives.ReadDoubleBigEndian(Bytes(input, 8));

    public static string Text(Stream input) => Encoding.UTF8.GetString(Bytes(input, Int(input)));

    public static string Units(Stream input)
    {
        var units = new char[Int(input)];
        byte[] bytes = Bytes(input, 2 * units.Length);
        for (int n = 0; n < units.Length; n++)
        {
            units[n] = (char)((bytes[2 * n] << 8) | bytes[2 * n + 1]);
        }
        return new string(units);
    }

    public static void Int(Stream output, int value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        output.Write(bytes);
    }

    public static void Long(Stream output, long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(bytes, value);
        output.Write(bytes);
    }

    public static void Double(Stream output, double value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteDoubleBigEndian(bytes, value);
        output.Write(bytes);
    }

    public static void Block(Stream output, byte[] bytes)
    {
        Int(output, bytes.Length);
        output.Write(bytes);
    }

    public static void Units(Stream output, string text)
    {
        Int(output, text.Length);
        foreach (char unit in text)
        {
            output.WriteByte((byte)(unit >> 8));
            output.WriteByte((byte)unit);
        }
    }
}
