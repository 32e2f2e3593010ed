import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Runs one compiled sample inside the jail.
 *
 * <p>Reads the model's classes, and then either calls ({@code cases}: the name of the method and
 * the arguments of every call) or serves a suite's test that is in another process (see {@link
 * Serve}). Standard output, taken over before any model-written class is loaded, carries the
 * answers: claims about values, which the other side compares.
 */
final class Run {
    static final int READY = 1, LOADED = 2, VALUE = 3, RAISED = 4;

    private Run() {}

    public static void main(String[] arguments) throws IOException {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 16));
        DataOutputStream out =
                new DataOutputStream(
                        new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)));
        System.setOut(System.err);
        System.setIn(InputStream.nullInputStream());
        send(out, READY);
        Loader loader = new Loader(ClassLoader.getPlatformClassLoader(), in);
        if (in.readBoolean()) {
            call(loader, Values.text(in), in, out);
        } else {
            Serve.serve(loader, in, out);
        }
        out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void call(Loader loader, String name, DataInputStream in, DataOutputStream out)
            throws IOException {
        int calls = in.readInt();
        Method method = null;
        Object owner = null;
        for (int call = 0; call < calls; call++) {
            Object[] plain = Values.readAll(in);
            try {
                if (method == null) {
                    method = loader.method(name, plain.length);
                    owner = Modifier.isStatic(method.getModifiers()) ? null : instance(method);
                    send(out, LOADED);
                }
                Object[] given = new Object[plain.length];
                for (int n = 0; n < plain.length; n++) {
                    given[n] = Values.convert(plain[n], method.getGenericParameterTypes()[n]);
                }
                Object result = method.invoke(owner, given);
                java.io.ByteArrayOutputStream bytes = new java.io.ByteArrayOutputStream();
                Values.write(result, new DataOutputStream(bytes), 0);
                out.writeByte(VALUE);
                bytes.writeTo(out);
            } catch (InvocationTargetException thrown) {
                raised(out, thrown.getCause());
            } catch (Throwable thrown) {
                raised(out, thrown);
            }
            out.flush();
            if (method == null) {
                return;
            }
        }
    }

    private static Object instance(Method method) throws ReflectiveOperationException {
        var constructor = method.getDeclaringClass().getDeclaredConstructor();
        constructor.setAccessible(true);
        return constructor.newInstance();
    }

    static void send(DataOutputStream out, int tag) throws IOException {
        out.writeByte(tag);
        out.flush();
    }

    /** The names of the JDK classes of what was thrown, and its text. */
    static void raised(DataOutputStream out, Throwable thrown) throws IOException {
        Deque<String> names = new ArrayDeque<>();
        for (Class<?> kind = thrown.getClass(); kind != null; kind = kind.getSuperclass()) {
            if (kind.getClassLoader() == null) {
                names.add(kind.getName());
            }
        }
        String text = thrown.getClass().getName();
        try {
            text += ": " + thrown.getMessage();
        } catch (Throwable hostile) {
            text += "";
        }
        out.writeByte(RAISED);
        out.writeInt(names.size());
        for (String kind : names) {
            Values.write(kind, out, 0);
        }
        Values.write(text.length() > 300 ? text.substring(0, 300) : text, out, 0);
    }
}
