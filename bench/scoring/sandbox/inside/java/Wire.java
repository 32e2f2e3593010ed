import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.reflect.Array;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.AbstractMap;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Values that cross between a suite's test and a sample: plain classes of the JDK, each as the
 * class that it is, so that an {@code Integer} stays one and a list that cannot change stays so.
 *
 * <p>The reader builds nothing else and believes nothing: depth, number and size are bounded, so
 * no {@code equals} or comparator of a model's ever reaches a test.
 */
final class Wire {
    private static final int DEEPEST = 100, MOST_VALUES = 1_000_000, LONGEST = 4 << 20;
    private static final int MOST_DIGITS = 100_000, LARGEST_SCALE = 10_000, LONGEST_KNOWN = 100;

    private final DataInputStream in;
    private int left = MOST_VALUES;

    Wire(DataInputStream in) {
        this.in = in;
    }

    /** Writes what a value is; what is not plain as opaque, which no reader takes. */
    static void write(Object value, DataOutputStream out, int depth) throws IOException {
        if (depth > DEEPEST) {
            out.writeByte('o');
        } else if (value == null) {
            out.writeByte('n');
        } else if (value instanceof Boolean truth) {
            out.writeByte(truth ? 'T' : 'F');
        } else if (value instanceof Byte number) {
            out.writeByte('b');
            out.writeByte(number);
        } else if (value instanceof Short number) {
            out.writeByte('h');
            out.writeShort(number);
        } else if (value instanceof Integer number) {
            out.writeByte('i');
            out.writeInt(number);
        } else if (value instanceof Long number) {
            out.writeByte('j');
            out.writeLong(number);
        } else if (value instanceof Float number) {
            out.writeByte('f');
            out.writeFloat(number);
        } else if (value instanceof Double number) {
            out.writeByte('d');
            out.writeDouble(number);
        } else if (value instanceof Character unit) {
            out.writeByte('c');
            out.writeChar(unit);
        } else if (value instanceof String || value instanceof StringBuilder) {
            out.writeByte(value instanceof String ? 's' : 'k');
            text(value.toString(), out);
        } else if (value.getClass() == BigInteger.class) {
            out.writeByte('B');
            digits((BigInteger) value, out);
        } else if (value.getClass() == BigDecimal.class) {
            out.writeByte('D');
            digits(((BigDecimal) value).unscaledValue(), out);
            out.writeInt(((BigDecimal) value).scale());
        } else {
            writeMany(value, out, depth);
        }
    }

    private static void writeMany(Object value, DataOutputStream out, int depth) throws IOException {
        if (value.getClass().isArray()) {
            Class<?> member = value.getClass().getComponentType();
            out.writeByte('[');
            text(member.getClassLoader() == null ? member.getName() : "java.lang.Object", out);
            out.writeInt(Array.getLength(value));
            for (int n = 0; n < Array.getLength(value); n++) {
                write(Array.get(value, n), out, depth + 1);
            }
        } else if (value instanceof Optional<?> optional) {
            out.writeByte('O');
            write(optional.orElse(null), out, depth + 1);
        } else if (value instanceof Map.Entry<?, ?> entry) {
            out.writeByte('e');
            write(entry.getKey(), out, depth + 1);
            write(entry.getValue(), out, depth + 1);
        } else if (value instanceof Map<?, ?> map) {
            List<Object> members = new ArrayList<>();
            map.forEach((key, item) -> Collections.addAll(members, key, item));
            many(tag(map), members, out, depth);
        } else if (value instanceof Collection<?> items) {
            many(tag(items), items, out, depth);
        } else {
            out.writeByte('o');
        }
    }

    private static void many(char tag, Collection<?> from, DataOutputStream out, int depth)
            throws IOException {
        Object[] members = from.toArray().clone();
        out.writeByte(tag);
        out.writeInt(members.length);
        for (Object member : members) {
            write(member, out, depth + 1);
        }
    }

    private static char tag(Map<?, ?> map) {
        if (map instanceof SortedMap<?, ?> sorted && sorted.comparator() == null) {
            return 'r';
        }
        if (fixed(map)) {
            return 'w';
        }
        return map.getClass() == HashMap.class ? 'M' : 'm';
    }

    private static char tag(Collection<?> items) {
        boolean fixed = fixed(items);
        if (items instanceof List) {
            boolean array = items.getClass() == Arrays.asList().getClass();
            return fixed ? 'u' : array ? 'a' : items.getClass() == LinkedList.class ? 'L' : 'l';
        }
        if (items instanceof SortedSet<?> sorted && sorted.comparator() == null) {
            return 'R';
        }
        if (items instanceof Set) {
            return fixed ? 'U' : items.getClass() == HashSet.class ? 'H' : 'S';
        }
        return 'L';
    }

    private static boolean fixed(Object many) {
        String name = many.getClass().getName();
        return name.startsWith("java.util.ImmutableCollections$")
                || name.startsWith("java.util.Collections$Unmodifiable");
    }

    static void text(String text, DataOutputStream out) throws IOException {
        out.writeInt(text.length());
        out.writeChars(text);
    }

    private static void digits(BigInteger number, DataOutputStream out) throws IOException {
        byte[] bytes = number.toByteArray();
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    /** The next value. What is too much, too deep or not plain is an IllegalStateException. */
    Object read() throws IOException {
        return read(0);
    }

    private Object read(int depth) throws IOException {
        if (depth > DEEPEST + 1 || left-- <= 0) {
            throw new IllegalStateException("returned a value too deep or too large");
        }
        char tag = (char) in.readUnsignedByte();
        return switch (tag) {
            case 'n' -> null;
            case 'T' -> true;
            case 'F' -> false;
            case 'b' -> in.readByte();
            case 'h' -> in.readShort();
            case 'i' -> in.readInt();
            case 'j' -> in.readLong();
            case 'f' -> in.readFloat();
            case 'd' -> in.readDouble();
            case 'c' -> in.readChar();
            case 's' -> known(text());
            case 'k' -> new StringBuilder(text());
            case 'B' -> digits();
            case 'D' -> new BigDecimal(digits(), size(in.readInt(), LARGEST_SCALE));
            case 'o' -> throw new IllegalStateException("returned an object of its own class");
            default -> readMany(tag, depth);
        };
    }

    private Object readMany(char tag, int depth) throws IOException {
        switch (tag) {
            case '[':
                return array(text(), depth);
            case 'O':
                return Optional.ofNullable(read(depth + 1));
            case 'e':
                Object key = read(depth + 1);
                return new AbstractMap.SimpleEntry<>(key, read(depth + 1));
            default:
                List<Object> members = members(depth);
                return "mMrw".indexOf(tag) >= 0 ? map(tag, members) : collection(tag, members);
        }
    }

    private List<Object> members(int depth) throws IOException {
        List<Object> members = new ArrayList<>();
        for (int count = in.readInt(); count > 0; count--) {
            members.add(read(depth + 1));
        }
        return members;
    }

    private static Object collection(char tag, List<Object> members) {
        return switch (tag) {
            case 'l' -> members;
            case 'a' -> Arrays.asList(members.toArray());
            case 'u' -> members.contains(null) ? Collections.unmodifiableList(members) : List.copyOf(members);
            case 'L' -> new LinkedList<>(members);
            case 'S' -> new LinkedHashSet<>(members);
            case 'U' -> Collections.unmodifiableSet(new LinkedHashSet<>(members));
            case 'H' -> new HashSet<>(members);
            case 'R' -> new TreeSet<>(members);
            default -> throw new IllegalStateException("returned what is no value");
        };
    }

    private static Object map(char tag, List<Object> members) {
        Map<Object, Object> map =
                tag == 'M' ? new HashMap<>() : tag == 'r' ? new TreeMap<>() : new LinkedHashMap<>();
        for (int n = 0; n + 1 < members.size(); n += 2) {
            map.put(members.get(n), members.get(n + 1));
        }
        return tag == 'w' ? Collections.unmodifiableMap(map) : map;
    }

    private Object array(String member, int depth) throws IOException {
        List<Object> members = members(depth);
        Object array = Array.newInstance(type(member), members.size());
        for (int n = 0; n < members.size(); n++) {
            Array.set(array, n, members.get(n));
        }
        return array;
    }

    private static Class<?> type(String name) {
        for (Class<?> primitive : List.of(int.class, long.class, double.class, float.class,
                boolean.class, char.class, byte.class, short.class)) {
            if (primitive.getName().equals(name)) {
                return primitive;
            }
        }
        try {
            return Class.forName(name, false, ClassLoader.getPlatformClassLoader());
        } catch (ClassNotFoundException unknown) {
            throw new IllegalStateException("returned an array of its own class");
        }
    }

    private BigInteger digits() throws IOException {
        return new BigInteger(in.readNBytes(size(in.readInt(), MOST_DIGITS)));
    }

    String text() throws IOException {
        byte[] bytes = in.readNBytes(2 * size(in.readInt(), LONGEST));
        return ByteBuffer.wrap(bytes).asCharBuffer().toString();
    }

    /** A short text is one object with the test's literal of that text: tests ask with ==, too. */
    private static String known(String text) {
        return text.length() > LONGEST_KNOWN ? text : text.intern();
    }

    private static int size(int stated, int most) {
        if (stated > most || stated < -most) {
            throw new IllegalStateException("returned a value too large");
        }
        return stated;
    }
}
