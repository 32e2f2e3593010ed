import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;

/** Answers the calls of a suite's test to the model's Solution, one object for all of them. */
final class Serve {
    private final Class<?> solution;
    private final DataInputStream in;
    private final DataOutputStream out;
    private Object instance;

    private Serve(Class<?> solution, DataInputStream in, DataOutputStream out) {
        this.solution = solution;
        this.in = in;
        this.out = out;
    }

    /** Serves until the test hangs up. */
    static void serve(Loader loader, DataInputStream in, DataOutputStream out) throws IOException {
        try {
            Serve served = new Serve(loader.loadClass("Solution"), in, out);
            Run.send(out, Run.LOADED);
            while (true) {
                served.answer();
                out.flush();
            }
        } catch (EOFException over) {
            return;
        } catch (Throwable thrown) {
            Run.raised(out, thrown);
            out.flush();
        }
    }

    /** Reads a call: a name, the erased types of the parameters and their values. */
    private void answer() throws IOException {
        Wire wire = new Wire(in);
        String name = wire.text();
        String[] types = new String[in.readInt()];
        Object[] values = new Object[types.length];
        for (int n = 0; n < types.length; n++) {
            types[n] = wire.text();
        }
        for (int n = 0; n < types.length; n++) {
            values[n] = wire.read();
        }
        Object[] given = values.clone();
        java.io.ByteArrayOutputStream bytes = new java.io.ByteArrayOutputStream();
        try {
            Object result = call(name, types, given);
            DataOutputStream answer = new DataOutputStream(bytes);
            answer.writeByte(Run.VALUE);
            Wire.write(result, answer, 0);
            for (Object value : values) { // what a method changes in place counts as its result
                if (Bridge.changes(value)) {
                    Wire.write(value, answer, 0);
                }
            }
        } catch (InvocationTargetException thrown) {
            Run.raised(out, thrown.getCause());
            return;
        } catch (Throwable thrown) {
            Run.raised(out, thrown);
            return;
        }
        bytes.writeTo(out);
    }

    private Object call(String name, String[] types, Object[] values)
            throws ReflectiveOperationException {
        Method method = find(name, types);
        boolean bound = !Modifier.isStatic(method.getModifiers());
        if (bound && instance == null) {
            var constructor = solution.getDeclaredConstructor();
            constructor.setAccessible(true);
            instance = constructor.newInstance();
        }
        return method.invoke(bound ? instance : null, values);
    }

    private Method find(String name, String[] types) throws NoSuchMethodException {
        for (Method method : solution.getDeclaredMethods()) {
            boolean fits = method.getName().equals(name) && method.getParameterCount() == types.length;
            for (int n = 0; fits && n < types.length; n++) {
                String own = method.getParameterTypes()[n].getTypeName().replace('$', '.');
                fits = own.equals(types[n]) || !types[n].contains(".") && own.startsWith("java.lang.");
            }
            if (fits) {
                method.setAccessible(true);
                return method;
            }
        }
        throw new NoSuchMethodException(name);
    }
}
