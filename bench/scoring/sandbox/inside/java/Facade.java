import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.StringJoiner;
import javax.lang.model.element.Element;
import javax.lang.model.element.ExecutableElement;
import javax.lang.model.element.Modifier;
import javax.lang.model.element.TypeElement;
import javax.lang.model.element.TypeParameterElement;
import javax.lang.model.element.VariableElement;
import javax.lang.model.type.ArrayType;
import javax.lang.model.type.DeclaredType;
import javax.lang.model.type.TypeKind;
import javax.lang.model.type.TypeMirror;
import javax.lang.model.type.TypeVariable;
import javax.lang.model.type.WildcardType;
import javax.lang.model.util.ElementFilter;
import javax.lang.model.util.Elements;

/**
 * The class that a suite's test meets in place of a model's: the same methods, each a call over
 * the {@link Bridge}. The test thus sees none of the model's classes, and only plain values.
 */
final class Facade {
    /** What every object has; a test means the facade's own. */
    private static final Set<String> OWN =
            Set.of("finalize", "clone", "equals", "hashCode", "toString", "wait", "notify");

    private Facade() {}

    static String of(Elements elements, String name) {
        StringBuilder text = new StringBuilder("public class " + name + " {\n");
        TypeElement type = elements.getTypeElement(name);
        List<? extends Element> members = type == null ? List.of() : type.getEnclosedElements();
        for (ExecutableElement method : ElementFilter.methodsIn(members)) {
            if (!method.getModifiers().contains(Modifier.PRIVATE)
                    && !method.getModifiers().contains(Modifier.ABSTRACT)
                    && !OWN.contains(method.getSimpleName().toString())) {
                text.append(method(method));
            }
        }
        return text.append("}\n").toString();
    }

    private static String method(ExecutableElement method) {
        StringJoiner parameters = new StringJoiner(", ");
        StringJoiner classes = new StringJoiner(", ");
        StringJoiner values = new StringJoiner(", ");
        boolean plain = plain(method.getReturnType());
        for (VariableElement parameter : method.getParameters()) {
            String name = "value" + values.length();
            parameters.add(name(parameter.asType()) + " " + name);
            classes.add("\"" + erased(parameter.asType()) + "\"");
            values.add(name);
            plain &= plain(parameter.asType());
        }
        StringJoiner thrown = new StringJoiner(", ", " throws ", "").setEmptyValue("");
        for (TypeMirror kind : method.getThrownTypes()) {
            thrown.add(name(kind));
            plain &= plain(kind);
        }
        for (TypeParameterElement variable : method.getTypeParameters()) {
            plain &= variable.getBounds().stream().allMatch(Facade::plain);
        }
        if (!plain) {
            return ""; // no test can know a class of the model's
        }
        TypeMirror result = method.getReturnType();
        String call =
                String.format(
                        "Bridge.call(\"%s\", new String[] {%s}, new Object[] {%s})",
                        method.getSimpleName(), classes, values);
        if (!nullable(result)) {
            call = "java.util.Objects.requireNonNull(" + call + ")";
        }
        return String.format(
                "public %s %s %s %s(%s)%s {\n%s%s;\n}\n",
                method.getModifiers().contains(Modifier.STATIC) ? "static" : "",
                generic(method),
                name(result),
                method.getSimpleName(),
                parameters,
                thrown,
                result.getKind() == TypeKind.VOID ? "" : "return (" + name(result) + ") ",
                call);
    }

    /** Whether null is a result; as one of a type that the caller chooses, it would be any. */
    private static boolean nullable(TypeMirror result) {
        return result.getKind() != TypeKind.TYPEVAR && !name(result).equals("java.lang.Boolean");
    }

    /** A type as source text, without the annotations that it may carry. */
    private static String name(TypeMirror type) {
        if (type instanceof ArrayType array) {
            return name(array.getComponentType()) + "[]";
        }
        if (type instanceof WildcardType wildcard) {
            TypeMirror above = wildcard.getExtendsBound(), below = wildcard.getSuperBound();
            return above != null ? "? extends " + name(above) : below != null ? "? super " + name(below) : "?";
        }
        if (type instanceof TypeVariable variable) {
            return variable.asElement().getSimpleName().toString();
        }
        if (!(type instanceof DeclaredType declared)) {
            return type.getKind().toString().toLowerCase(Locale.ROOT);
        }
        StringJoiner given = new StringJoiner(", ", "<", ">").setEmptyValue("");
        declared.getTypeArguments().forEach(argument -> given.add(name(argument)));
        return ((TypeElement) declared.asElement()).getQualifiedName() + given.toString();
    }

    /** Whether a type names nothing but the JDK's types and type variables. */
    private static boolean plain(TypeMirror type) {
        if (type == null || type.getKind().isPrimitive()) {
            return true;
        }
        if (type instanceof ArrayType array) {
            return plain(array.getComponentType());
        }
        if (type instanceof WildcardType wildcard) {
            return plain(wildcard.getExtendsBound()) && plain(wildcard.getSuperBound());
        }
        if (type instanceof DeclaredType declared) {
            TypeElement element = (TypeElement) declared.asElement();
            return element.getQualifiedName().toString().startsWith("java.")
                    && declared.getTypeArguments().stream().allMatch(Facade::plain);
        }
        return type.getKind() == TypeKind.VOID || type.getKind() == TypeKind.TYPEVAR;
    }

    /** A parameter's type without its arguments: with the name, what picks an overload. */
    private static String erased(TypeMirror type) {
        return name(type).replaceAll("<.*>", "");
    }

    private static String generic(ExecutableElement method) {
        StringJoiner variables = new StringJoiner(", ", "<", ">").setEmptyValue("");
        for (TypeParameterElement variable : method.getTypeParameters()) {
            StringJoiner bounds = new StringJoiner(" & ");
            variable.getBounds().forEach(bound -> bounds.add(name(bound)));
            variables.add(variable.getSimpleName() + " extends " + bounds);
        }
        return variables.toString();
    }
}
