using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Numerics;
using System.Text;

/// <summary>Plain values as tagged bytes (see binary.py), and their C# types.</summary>
static class Values
{
    const int Deepest = 100;

    /// <summary>A map as it came, before the parameter says what it is to be.</summary>
    sealed class Pairs : List<KeyValuePair<object, object>>
    {
    }

    public static object[] ReadAll(Stream input)
    {
        var values = new object[Channel.Int(input)];
        for (int n = 0; n < values.Length; n++)
        {
            values[n] = Read(input);
        }
        return values;
    }

    static object Read(Stream input)
    {
        char tag = (char)Channel.Byte(input);
        switch (tag)
        {
            case 'n': return null;
            case 'T': return true;
            case 'F': return false;
            case 'i': return Channel.Long(input);
            case 'I': return BigInteger.Parse(Channel.Units(input));
            case 'd': return Channel.Double(input);
            case 's': return Channel.Units(input);
            case 'c': return (char)((Channel.Byte(input) << 8) | Channel.Byte(input));
            case 'l':
            case 'S': return ReadAll(input);
            case 'm':
                var pairs = new Pairs();
                for (int left = Channel.Int(input); left > 0; left--)
                {
                    object key = Read(input);
                    pairs.Add(new(key, Read(input)));
                }
                return pairs;
            default: throw new InvalidDataException($"unknown tag {tag}");
        }
    }

    /// <summary>The value as the type that a parameter really has.</summary>
    public static object Convert(object value, Type type)
    {
        if (value == null)
        {
            return null;
        }
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (value is Pairs pairs)
        {
            return Map(pairs, type);
        }
        if (value is object[] items)
        {
            return Sequence(items, type);
        }
        if (value is string text && type != typeof(string) && type != typeof(object))
        {
            return Text(text, type);
        }
        if (value is char unit && type == typeof(string))
        {
            return unit.ToString();
        }
        return Number(value, type);
    }

    static object Text(string text, Type type)
    {
        if (type == typeof(char))
        {
            return text[0];
        }
        if (type == typeof(char[]))
        {
            return text.ToCharArray();
        }
        return type == typeof(StringBuilder) ? new StringBuilder(text) : text;
    }

    static object Number(object value, Type type)
    {
        if (value is long whole)
        {
            if (type == typeof(BigInteger))
            {
                return new BigInteger(whole);
            }
            bool untyped = type == typeof(object) || type.IsInterface;
            if (untyped && whole == (int)whole)
            {
                return (int)whole;
            }
            return type.IsPrimitive || type == typeof(decimal)
                ? System.Convert.ChangeType(whole, type)
                : value;
        }
        return value is double && (type == typeof(float) || type == typeof(decimal))
            ? System.Convert.ChangeType(value, type)
            : value;
    }

    static object Sequence(object[] from, Type type)
    {
        Type member = type.IsArray ? type.GetElementType() : Argument(type, typeof(IEnumerable<>), 0);
        Array array = Array.CreateInstance(member, from.Length);
        for (int n = 0; n < from.Length; n++)
        {
            array.SetValue(Convert(from[n], member), n);
        }
        if (type.IsArray)
        {
            return array;
        }
        Type[] made = { typeof(List<>), typeof(HashSet<>), typeof(LinkedList<>), typeof(Queue<>),
            typeof(Stack<>), typeof(SortedSet<>) };
        foreach (Type generic in made)
        {
            Type whole = generic.MakeGenericType(member);
            if (type.IsAssignableFrom(whole))
            {
                return Activator.CreateInstance(whole, array);
            }
        }
        return array;
    }

    static object Map(Pairs pairs, Type type)
    {
        Type key = Argument(type, typeof(IDictionary<,>), 0);
        Type item = Argument(type, typeof(IDictionary<,>), 1);
        Type made = typeof(Dictionary<,>).MakeGenericType(key, item);
        if (!type.IsAssignableFrom(made))
        {
            made = typeof(SortedDictionary<,>).MakeGenericType(key, item);
        }
        var map = (IDictionary)Activator.CreateInstance(made);
        foreach (KeyValuePair<object, object> pair in pairs)
        {
            map.Add(Convert(pair.Key, key), Convert(pair.Value, item));
        }
        return map;
    }

    /// <summary>The argument of the generic interface that a type is or has.</summary>
    static Type Argument(Type type, Type generic, int index)
    {
        int arity = generic.GetGenericArguments().Length;
        IEnumerable<Type> candidates = type.GetInterfaces().Prepend(type);
        foreach (Type candidate in candidates)
        {
            if (candidate.IsGenericType && candidate.GetGenericArguments().Length == arity
                && (candidate == type || candidate.GetGenericTypeDefinition() == generic))
            {
                return candidate.GetGenericArguments()[index];
            }
        }
        return typeof(object);
    }

    /// <summary>Writes what a plain value is; anything else as opaque, which equals nothing.</summary>
    public static void Write(object value, Stream output, int depth)
    {
        switch (depth > Deepest ? output : value)
        {
            case null:
                output.WriteByte((byte)'n');
                break;
            case bool truth:
                output.WriteByte((byte)(truth ? 'T' : 'F'));
                break;
            case long or int or short or sbyte or byte or ushort or uint:
                output.WriteByte((byte)'i');
                Channel.Long(output, System.Convert.ToInt64(value));
                break;
            case ulong or BigInteger:
                output.WriteByte((byte)'I');
                Channel.Units(output, value.ToString());
                break;
            case double or float or decimal:
                output.WriteByte((byte)'d');
                // by way of the decimal form, so that 0.1f is 0.1
                Channel.Double(output, double.Parse(value.ToString()));
                break;
            case string or StringBuilder:
                output.WriteByte((byte)'s');
                Channel.Units(output, value.ToString());
                break;
            case char unit:
                output.WriteByte((byte)'c');
                output.WriteByte((byte)(unit >> 8));
                output.WriteByte((byte)unit);
                break;
            case IDictionary map:
                Many(map, output, depth);
                break;
            case IEnumerable items:
                Many(items, output, depth);
                break;
            default:
                output.WriteByte((byte)'o');
                break;
        }
    }

    static void Many(IDictionary map, Stream output, int depth)
    {
        output.WriteByte((byte)'m');
        Channel.Int(output, map.Count);
        foreach (DictionaryEntry entry in map)
        {
            Write(entry.Key, output, depth + 1);
            Write(entry.Value, output, depth + 1);
        }
    }

    static void Many(IEnumerable from, Stream output, int depth)
    {
        List<object> items = from.Cast<object>().ToList();
        bool set = from.GetType().GetInterfaces().Any(
            type => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ISet<>));
        output.WriteByte((byte)(set ? 'S' : 'l'));
        Channel.Int(output, items.Count);
        items.ForEach(item => Write(item, output, depth + 1));
    }
}
