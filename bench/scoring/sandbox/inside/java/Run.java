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
import java.util.HashMap;
import java.util.Map;

/**
 * Runs one compiled sample inside the jail.
 *
 * <p>Reads a nonce, the model's classes, those of a suite's test, and then either calls
 * ({@code cases}: the name of the method and the arguments of every call) or the name of the
 * test's class whose {@code main} is to return ({@code main}). Standard output, taken over before any model-written class is loaded, carries
 * the answers: for {@code cases} claims about values, which the other side compares; for
 * {@code main} the nonce, which only this class has seen, and only in a local variable.
 */
final class Run {
    private static final int READY = 1, LOADED = 2, VALUE = 3, RAISED = 4, RETURNED = 5;

    private Run() {}

    public static void main(String[] arguments) throws IOException {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 16));
        DataOutputStream out =
                new DataOutputStream(
                        new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)));
        System.setOut(System.err);
        System.setIn(InputStream.nullInputStream());
        byte[] nonce = in.readNBytes(16);
        Loader loader = new Loader(ClassLoader.getPlatformClassLoader(), in);
        Loader test = new Loader(Run.class.getClassLoader(), in);
        boolean cases = in.readBoolean();
        String name = Values.text(in);
        send(out, READY);
        if (cases) {
            call(loader, name, in, out);
        } else {
            main(loader, test, name, nonce, out);
        }
        out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void main(
            Loader loader, Loader test, String name, byte[] nonce, DataOutputStream out)
            throws IOException {
        try {
            Bridge.use(loader.loadClass("Solution"));
            Method main = test.loadClass(name).getDeclaredMethod("main", String[].class);
            main.setAccessible(true);
            send(out, LOADED);
            main.invoke(null, (Object) new String[0]);
        } catch (InvocationTargetException thrown) {
            raised(out, thrown.getCause());
            return;
        } catch (Throwable thrown) {
            raised(out, thrown);
            return;
        }
        out.writeByte(RETURNED);
        out.write(nonce);
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

    private static void send(DataOutputStream out, int tag) throws IOException {
        out.writeByte(tag);
        out.flush();
    }

    /** The names of the JDK classes of what was thrown, and its text. */
    private static void raised(DataOutputStream out, Throwable thrown) throws IOException {
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

    /** Defines the classes that came over standard input. */
    private static final class Loader extends ClassLoader {
        private final Map<String, byte[]> classes = new HashMap<>();

        Loader(ClassLoader parent, DataInputStream in) throws IOException {
            super(parent);
            int count = in.readInt();
            for (int n = 0; n < count; n++) {
                String name = Values.text(in);
                classes.put(name, in.readNBytes(in.readInt()));
            }
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            byte[] bytes = classes.get(name);
            if (bytes == null) {
                throw new ClassNotFoundException(name);
            }
            return defineClass(name, bytes, 0, bytes.length);
        }

        /** The method of a name and a number of parameters, static ones first. */
        Method method(String name, int parameters) throws ReflectiveOperationException {
            Method found = null;
            for (String owner : classes.keySet()) {
                for (Method method : Class.forName(owner, false, this).getDeclaredMethods()) {
                    boolean fits =
                            method.getName().equals(name)
                                    && method.getParameterCount() == parameters
                                    && !method.isSynthetic();
                    if (fits && (found == null || Modifier.isStatic(method.getModifiers()))) {
                        found = method;
                    }
                }
            }
            if (found == null) {
                throw new NoSuchMethodException(name + " with " + parameters + " parameters");
            }
            found.setAccessible(true);
            return found;
        }
    }
}
