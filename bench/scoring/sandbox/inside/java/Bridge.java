import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.reflect.Array;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.ListIterator;
import java.util.Map;

/**
 * Calls a model's Solution on behalf of a suite's test: the model's code is in another process.
 * What comes back is built here of the JDK's own classes (see {@link Wire}).
 */
public final class Bridge {
    /** The sample did not answer. */
    static final class SampleDied extends Error {
        private static final long serialVersionUID = 1;
    }

    private static final ThreadLocal<Bridge> CURRENT = new ThreadLocal<>();

    private final DataInputStream in;
    private final DataOutputStream out;
    private final Wire wire;
    boolean died;

    Bridge(DataInputStream in, DataOutputStream out) {
        this.in = in;
        this.out = out;
        this.wire = new Wire(in);
    }

    /** From here on this thread's calls go over this bridge. */
    void use() {
        CURRENT.set(this);
    }

    /** Whether a method could change a value in place. */
    static boolean changes(Object value) {
        return value instanceof Collection || value instanceof Map || value instanceof StringBuilder
                || value != null && value.getClass().isArray();
    }

    /** Calls the method of a name and erased parameter types, as the facade knows them. */
    public static Object call(String name, String[] types, Object[] values) {
        Bridge bridge = CURRENT.get();
        if (bridge == null) {
            throw new IllegalStateException("no test runs in this thread");
        }
        try {
            return bridge.ask(name, types, values);
        } catch (IOException gone) {
            bridge.died = true;
            throw new SampleDied();
        }
    }

    private Object ask(String name, String[] types, Object[] values) throws IOException {
        Wire.text(name, out);
        out.writeInt(types.length);
        for (String type : types) {
            Wire.text(type, out);
        }
        for (Object value : values) {
            Wire.write(value, out, 0);
        }
        out.flush();
        answer(Run.VALUE);
        Object result = wire.read();
        for (Object value : values) {
            if (changes(value)) {
                become(value, wire.read());
            }
        }
        return result;
    }

    /** Passes over the answer that is due; what the model's code raised is raised here. */
    void answer(int due) throws IOException {
        int tag = in.readUnsignedByte();
        if (tag == Run.RAISED) {
            throw Bridge.<RuntimeException>sneak(raised());
        }
        if (tag != due) {
            throw new IllegalStateException("answered what was not asked");
        }
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> RuntimeException sneak(Throwable cause) throws T {
        throw (T) cause;
    }

    /** What was raised, as the nearest class of the JDK. */
    private Throwable raised() throws IOException {
        List<String> names = new ArrayList<>();
        for (int left = Math.min(in.readInt(), 64); left > 0; left--) {
            names.add(String.valueOf(wire.read()));
        }
        String text = String.valueOf(wire.read());
        for (String name : names) {
            String message = text.startsWith(name + ": ") ? text.substring(name.length() + 2) : text;
            try {
                Class<?> kind = Class.forName(name, false, null);
                if (Throwable.class.isAssignableFrom(kind)) {
                    return (Throwable) kind.getConstructor(String.class).newInstance(message);
                }
            } catch (ReflectiveOperationException | LinkageError unfit) {
                continue; // one that has no message, or is no class of the JDK's
            }
        }
        return new RuntimeException(text);
    }

    /** Makes a value what it became in the sample. */
    @SuppressWarnings("unchecked")
    private static void become(Object value, Object now) {
        if (value.equals(now)) {
            return;
        }
        try {
            if (value instanceof List<?> list && now instanceof List<?> other
                    && list.size() == other.size()) {
                ListIterator<Object> place = ((List<Object>) list).listIterator();
                for (Object item : other) {
                    place.next();
                    place.set(item);
                }
            } else if (value instanceof Collection<?> items && now instanceof Collection<?> other) {
                items.clear();
                ((Collection<Object>) items).addAll(other);
            } else if (value instanceof Map<?, ?> map && now instanceof Map<?, ?> other) {
                map.clear();
                ((Map<Object, Object>) map).putAll(other);
            } else if (value instanceof StringBuilder text) {
                text.setLength(0);
                text.append(now);
            } else if (value.getClass() == now.getClass()
                    && Array.getLength(value) == Array.getLength(now)) {
                System.arraycopy(now, 0, value, 0, Array.getLength(value));
            }
        } catch (UnsupportedOperationException fixed) {
            return; // nor could the sample change it
        }
    }
}
