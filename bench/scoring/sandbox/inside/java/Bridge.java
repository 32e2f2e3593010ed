import java.lang.reflect.Array;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.AbstractMap;
import java.util.ArrayList;
import java.util.Collection;
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
 * Calls a model's Solution on behalf of a suite's test. What comes back is copied into the JDK's
 * own classes, so that no {@code equals} of the model's decides a comparison of the test's.
 */
public final class Bridge {
    private static final Set<Class<?>> FINAL =
            Set.of(
                    Boolean.class, Character.class, Byte.class, Short.class, Integer.class,
                    Long.class, Float.class, Double.class, String.class, BigInteger.class,
                    BigDecimal.class, StringBuilder.class);
    private static Class<?> solution;
    private static Object instance;

    private Bridge() {}

    static void use(Class<?> model) {
        solution = model;
    }

    /** Calls the method of a name and erased parameter types, as the facade knows them. */
    public static Object call(String name, String[] types, Object[] values) {
        try {
            Method method = find(name, types);
            boolean bound = !Modifier.isStatic(method.getModifiers());
            if (bound && instance == null) {
                var constructor = solution.getDeclaredConstructor();
                constructor.setAccessible(true);
                instance = constructor.newInstance();
            }
            Object result = method.invoke(bound ? instance : null, values);
            for (Object value : values) {
                plain(value); // what a method changes in place counts as its result
            }
            return plain(result);
        } catch (InvocationTargetException thrown) {
            throw Bridge.<RuntimeException>sneak(thrown.getCause());
        } catch (ReflectiveOperationException missing) {
            throw new IllegalStateException(missing);
        }
    }

    private static Method find(String name, String[] types) throws NoSuchMethodException {
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

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> RuntimeException sneak(Throwable cause) throws T {
        throw (T) cause;
    }

    /** A copy in plain classes of the JDK: even its sorted sets ask a comparator what is equal. */
    private static Object plain(Object value) {
        if (value == null || FINAL.contains(value.getClass())) {
            return value;
        }
        if (value.getClass().isArray()) {
            for (int n = 0; n < Array.getLength(value); n++) {
                plain(Array.get(value, n));
            }
            return value;
        }
        if (value instanceof Optional<?> optional) {
            return optional.map(Bridge::plain);
        }
        if (value instanceof Map<?, ?> map) {
            boolean sorted = value instanceof SortedMap<?, ?> own && own.comparator() == null;
            Map<Object, Object> copy = sorted ? new TreeMap<>() : new LinkedHashMap<>();
            map.forEach((key, item) -> copy.put(plain(key), plain(item)));
            return copy;
        }
        if (value instanceof Collection<?> items) {
            Collection<Object> copy = new ArrayList<>();
            if (value instanceof Set) {
                boolean sorted = value instanceof SortedSet<?> own && own.comparator() == null;
                copy = sorted ? new TreeSet<>() : new LinkedHashSet<>();
            } else if (!(value instanceof List)) {
                copy = new LinkedList<>();
            }
            for (Object item : items) {
                copy.add(plain(item));
            }
            return copy;
        }
        if (value instanceof Map.Entry<?, ?> entry) {
            return new AbstractMap.SimpleEntry<>(plain(entry.getKey()), plain(entry.getValue()));
        }
        if (value.getClass().getClassLoader() != null) {
            throw new IllegalStateException("returned an object of its own class");
        }
        return value;
    }
}
