import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.reflect.Array;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.BaseStream;

/** Plain values as tagged bytes (see bench/scoring/sandbox/binary.py), and their Java types. */
final class Values {
    private static final int DEEPEST = 100;

    private Values() {}

    static String text(DataInputStream in) throws IOException {
        return new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8);
    }

    static Object[] readAll(DataInputStream in) throws IOException {
        Object[] values = new Object[in.readInt()];
        for (int n = 0; n < values.length; n++) {
            values[n] = read(in);
        }
        return values;
    }

    private static Object read(DataInputStream in) throws IOException {
        char tag = (char) in.readByte();
        switch (tag) {
            case 'n':
                return null;
            case 'T':
                return true;
            case 'F':
                return false;
            case 'i':
                return in.readLong();
            case 'I':
                return new BigInteger(string(in));
            case 'd':
                return in.readDouble();
            case 's':
                return string(in);
            case 'c':
                return in.readChar();
            case 'l':
                return new ArrayList<>(java.util.Arrays.asList(readAll(in)));
            case 'S':
                return new LinkedHashSet<>(java.util.Arrays.asList(readAll(in)));
            case 'm':
                Map<Object, Object> map = new LinkedHashMap<>();
                for (int left = in.readInt(); left > 0; left--) {
                    Object key = read(in);
                    map.put(key, read(in));
                }
                return map;
            default:
                throw new IOException("unknown tag " + tag);
        }
    }

    private static String string(DataInputStream in) throws IOException {
        char[] units = new char[in.readInt()];
        for (int n = 0; n < units.length; n++) {
            units[n] = in.readChar();
        }
        return new String(units);
    }

    /** The value as the type that a parameter really has. */
    static Object convert(Object value, Type type) {
        if (value == null) {
            return null;
        }
        if (type instanceof GenericArrayType array) {
            return array(value, array.getGenericComponentType());
        }
        if (type instanceof WildcardType wildcard) {
            return convert(value, wildcard.getUpperBounds()[0]);
        }
        if (type instanceof TypeVariable<?> variable) {
            return convert(value, variable.getBounds()[0]);
        }
        Class<?> raw = raw(type);
        if (raw.isArray()) {
            return array(value, raw.getComponentType());
        }
        if (value instanceof Map<?, ?> map && raw.isAssignableFrom(TreeMap.class)
                || value instanceof Map<?, ?> other && Map.class.isAssignableFrom(raw)) {
            return map((Map<?, ?>) value, raw, type);
        }
        if (value instanceof Collection<?> items) {
            return collection(items, raw, argument(type, 0, 1));
        }
        return scalar(value, raw);
    }

    private static Class<?> raw(Type type) {
        if (type instanceof Class<?> plain) {
            return plain;
        }
        return type instanceof ParameterizedType generic ? (Class<?>) generic.getRawType() : Object.class;
    }

    private static Type argument(Type type, int index, int arity) {
        if (type instanceof ParameterizedType generic
                && generic.getActualTypeArguments().length == arity) {
            return generic.getActualTypeArguments()[index];
        }
        return Object.class;
    }

    private static Object array(Object value, Type component) {
        Collection<?> items;
        if (value instanceof String text) {
            items = text.chars().mapToObj(unit -> (char) unit).toList();
        } else {
            items = (Collection<?>) value;
        }
        Object array = Array.newInstance(erased(component), items.size());
        int n = 0;
        for (Object item : items) {
            Array.set(array, n++, convert(item, component));
        }
        return array;
    }

    private static Class<?> erased(Type type) {
        if (type instanceof GenericArrayType array) {
            return Array.newInstance(erased(array.getGenericComponentType()), 0).getClass();
        }
        return type instanceof TypeVariable<?> variable ? raw(variable.getBounds()[0]) : raw(type);
    }

    private static Object map(Map<?, ?> from, Class<?> raw, Type type) {
        boolean sorted = SortedMap.class.isAssignableFrom(raw);
        Map<Object, Object> map = sorted ? new TreeMap<>() : new LinkedHashMap<>();
        for (Map.Entry<?, ?> entry : from.entrySet()) {
            Object key = convert(entry.getKey(), argument(type, 0, 2));
            map.put(key, convert(entry.getValue(), argument(type, 1, 2)));
        }
        return map;
    }

    private static Object collection(Collection<?> from, Class<?> raw, Type member) {
        Collection<Object> items;
        if (SortedSet.class.isAssignableFrom(raw)) {
            items = new TreeSet<>();
        } else if (Set.class.isAssignableFrom(raw)) {
            items = new LinkedHashSet<>();
        } else if (raw == PriorityQueue.class) {
            items = new PriorityQueue<>();
        } else if (raw == ArrayDeque.class) {
            items = new ArrayDeque<>();
        } else if (raw == LinkedList.class || raw == Deque.class || raw == java.util.Queue.class) {
            items = new LinkedList<>();
        } else if (from instanceof Set && !List.class.isAssignableFrom(raw)) {
            items = new LinkedHashSet<>();
        } else {
            items = new ArrayList<>();
        }
        for (Object item : from) {
            items.add(convert(item, member));
        }
        if (raw == Iterator.class) {
            return items.iterator();
        }
        return raw.getName().equals("java.util.stream.Stream") ? items.stream() : items;
    }

    private static Object scalar(Object value, Class<?> raw) {
        if (value instanceof Character unit) {
            return raw == String.class || raw == CharSequence.class ? unit.toString() : value;
        }
        if (value instanceof String text && (raw == char.class || raw == Character.class)) {
            return text.charAt(0);
        }
        if (value instanceof String text && raw == StringBuilder.class) {
            return new StringBuilder(text);
        }
        if (!(value instanceof Number number)) {
            return value;
        }
        if (raw == int.class || raw == Integer.class) {
            return number instanceof Double ? value : (Object) Math.toIntExact(number.longValue());
        }
        if (raw == double.class || raw == Double.class) {
            return number.doubleValue();
        }
        if (raw == float.class || raw == Float.class) {
            return number.floatValue();
        }
        if (raw == short.class || raw == Short.class) {
            return number.shortValue();
        }
        if (raw == byte.class || raw == Byte.class) {
            return number.byteValue();
        }
        if (raw == BigInteger.class) {
            return new BigInteger(number.toString());
        }
        if (raw == BigDecimal.class) {
            return new BigDecimal(number.toString());
        }
        boolean untyped = raw == Object.class || raw == Number.class || raw == Comparable.class;
        if (untyped && number instanceof Long whole && whole == whole.intValue()) {
            return whole.intValue();
        }
        return value;
    }

    /** Writes what a plain value is; anything else as an opaque value, which equals nothing. */
    static void write(Object value, DataOutputStream out, int depth) throws IOException {
        if (depth > DEEPEST) {
            out.writeByte('o');
        } else if (value == null) {
            out.writeByte('n');
        } else if (value instanceof Boolean truth) {
            out.writeByte(truth ? 'T' : 'F');
        } else if (value instanceof Long || value instanceof Integer || value instanceof Short
                || value instanceof Byte) {
            out.writeByte('i');
            out.writeLong(((Number) value).longValue());
        } else if (value instanceof Double || value instanceof Float) {
            out.writeByte('d');
            // a float's shortest decimal form, so that 0.1f is 0.1
            out.writeDouble(Double.parseDouble(value.toString()));
        } else if (value instanceof String || value instanceof StringBuilder) {
            string('s', value.toString(), out);
        } else if (value.getClass() == BigInteger.class) {
            string('I', value.toString(), out);
        } else if (value instanceof Character unit) {
            out.writeByte('c');
            out.writeChar(unit);
        } else {
            writeMany(value, out, depth);
        }
    }

    private static void string(char tag, String text, DataOutputStream out) throws IOException {
        out.writeByte(tag);
        out.writeInt(text.length());
        out.writeChars(text);
    }

    private static void writeMany(Object value, DataOutputStream out, int depth)
            throws IOException {
        if (value instanceof Optional<?> optional) {
            write(optional.orElse(null), out, depth + 1);
        } else if (value instanceof OptionalInt optional) {
            write(optional.isPresent() ? (Object) optional.getAsInt() : null, out, depth + 1);
        } else if (value instanceof OptionalLong optional) {
            write(optional.isPresent() ? (Object) optional.getAsLong() : null, out, depth + 1);
        } else if (value instanceof OptionalDouble optional) {
            write(optional.isPresent() ? (Object) optional.getAsDouble() : null, out, depth + 1);
        } else if (value instanceof Map<?, ?> map) {
            Map<Object, Object> copy = new LinkedHashMap<>(map);
            out.writeByte('m');
            out.writeInt(copy.size());
            for (Map.Entry<Object, Object> entry : copy.entrySet()) {
                write(entry.getKey(), out, depth + 1);
                write(entry.getValue(), out, depth + 1);
            }
        } else if (value instanceof Collection<?> items) {
            items((value instanceof Set) ? 'S' : 'l', new ArrayList<>(items), out, depth);
        } else if (value.getClass().isArray()) {
            List<Object> items = new ArrayList<>();
            for (int n = 0; n < Array.getLength(value); n++) {
                items.add(Array.get(value, n));
            }
            items('l', items, out, depth);
        } else if (value instanceof BaseStream<?, ?> stream) {
            List<Object> items = new ArrayList<>();
            stream.iterator().forEachRemaining(items::add);
            items('l', items, out, depth);
        } else {
            out.writeByte('o');
        }
    }

    private static void items(char tag, List<Object> items, DataOutputStream out, int depth)
            throws IOException {
        out.writeByte(tag);
        out.writeInt(items.size());
        for (Object item : items) {
            write(item, out, depth + 1);
        }
    }
}
