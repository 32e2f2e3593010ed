import java.io.DataInputStream;
import java.io.IOException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.HashMap;
import java.util.Map;

/** Defines the classes that came over a stream. */
final class Loader extends ClassLoader {
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
