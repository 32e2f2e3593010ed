import com.sun.source.util.JavacTask;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.StandardLocation;
import javax.tools.ToolProvider;

/**
 * Compiles a batch of units in one JVM; one bad unit does not sink the rest.
 *
 * <p>Reads: count, then per unit the number of files and each file's name and text. The first
 * file is a model's. Others are a suite's own test of its class Solution, and are compiled
 * against a {@link Facade} of it, so that the test meets plain values only. Writes per unit: true
 * and its classes (count, name and bytes each, those of the test marked), or false and the first
 * error. A unit that takes too much CPU time ends the process (a busy machine does not count), and
 * so does one that takes all memory; what was written before it stands, and the caller goes on
 * after it.
 */
final class Compile {
    private static final long UNIT_SECONDS = 10;
    private static final int LARGEST_BYTES = 16 << 20;
    private static final String TEST_MARK = "test:";

    private Compile() {}

    public static void main(String[] arguments) throws IOException {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in));
        DataOutputStream out =
                new DataOutputStream(
                        new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)));
        System.setOut(System.err);
        Deadline.watch(() -> {});
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        DiagnosticCollector<JavaFileObject> unread = new DiagnosticCollector<>();
        StandardJavaFileManager standard =
                compiler.getStandardFileManager(unread, null, StandardCharsets.UTF_8);
        standard.setLocation(StandardLocation.CLASS_PATH, List.of());
        out.writeBoolean(true);
        out.flush(); // before anything that could end this process
        int units = in.readInt();
        for (int unit = 0; unit < units; unit++) {
            List<Source> sources = new ArrayList<>();
            int files = in.readInt();
            for (int file = 0; file < files; file++) {
                sources.add(new Source(text(in), text(in)));
            }
            Deadline.within(UNIT_SECONDS);
            compile(compiler, standard, sources, out);
            Deadline.none();
            out.flush();
        }
    }

    private static void compile(
            JavaCompiler compiler,
            StandardJavaFileManager standard,
            List<Source> sources,
            DataOutputStream out)
            throws IOException {
        Map<String, ByteArrayOutputStream> classes = new LinkedHashMap<>();
        StringBuilder problem = new StringBuilder();
        StringBuilder facade = new StringBuilder();
        boolean tested = sources.size() > 1;
        boolean compiled =
                task(compiler, standard, sources.subList(0, 1), "", classes, problem, tested ? facade : null);
        if (compiled && tested) {
            List<Source> test = new ArrayList<>(sources.subList(1, sources.size()));
            test.add(new Source("Solution.java", facade.toString()));
            compiled = task(compiler, standard, test, TEST_MARK, classes, problem, null);
        }
        if (classes.values().stream().mapToLong(ByteArrayOutputStream::size).sum() > LARGEST_BYTES) {
            compiled = false;
            problem.append("the compiled code is too large");
        }
        out.writeBoolean(compiled);
        if (!compiled) {
            write(out, problem.toString().getBytes(StandardCharsets.UTF_8));
            return;
        }
        out.writeInt(classes.size());
        for (Map.Entry<String, ByteArrayOutputStream> entry : classes.entrySet()) {
            write(out, entry.getKey().getBytes(StandardCharsets.UTF_8));
            write(out, entry.getValue().toByteArray());
        }
    }

    /** Compiles sources together; fills the facade of their Solution where one is wanted. */
    private static boolean task(
            JavaCompiler compiler,
            StandardJavaFileManager standard,
            List<Source> sources,
            String mark,
            Map<String, ByteArrayOutputStream> classes,
            StringBuilder problem,
            StringBuilder facade) {
        DiagnosticCollector<JavaFileObject> diagnostics = new DiagnosticCollector<>();
        List<String> options = new ArrayList<>(List.of("-proc:none", "-nowarn", "-Xlint:none", "-g:none"));
        if (!mark.isEmpty()) {
            options.addAll(List.of("-cp", System.getProperty("java.class.path")));
        }
        try {
            Memory memory = new Memory(standard, mark, classes);
            JavacTask task =
                    (JavacTask) compiler.getTask(null, memory, diagnostics, options, null, sources);
            task.analyze();
            if (!failed(diagnostics)) {
                if (facade != null) {
                    facade.append(Facade.of(task.getElements(), "Solution"));
                }
                task.generate();
            }
            if (!failed(diagnostics)) {
                return true;
            }
        } catch (StackOverflowError | RuntimeException | IOException error) {
            problem.append("the compiler failed: ").append(error);
            return false;
        }
        for (Diagnostic<? extends JavaFileObject> diagnostic : diagnostics.getDiagnostics()) {
            if (problem.isEmpty() && diagnostic.getKind() == Diagnostic.Kind.ERROR) {
                problem.append(diagnostic.getMessage(null));
            }
        }
        return false;
    }

    private static boolean failed(DiagnosticCollector<JavaFileObject> diagnostics) {
        return diagnostics.getDiagnostics().stream()
                .anyMatch(one -> one.getKind() == Diagnostic.Kind.ERROR);
    }

    private static void write(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    private static String text(DataInputStream in) throws IOException {
        return new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8);
    }

    private static final class Source extends SimpleJavaFileObject {
        private final String text;

        Source(String name, String text) {
            super(URI.create("string:///" + name), Kind.SOURCE);
            this.text = text;
        }

        @Override
        public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return text;
        }
    }

    private static final class Memory extends ForwardingJavaFileManager<JavaFileManager> {
        private final String mark;
        private final Map<String, ByteArrayOutputStream> classes;

        Memory(JavaFileManager under, String mark, Map<String, ByteArrayOutputStream> classes) {
            super(under);
            this.mark = mark;
            this.classes = classes;
        }

        @Override
        public JavaFileObject getJavaFileForOutput(
                Location location, String name, JavaFileObject.Kind kind, FileObject sibling) {
            return new SimpleJavaFileObject(URI.create("string:///" + name + ".class"), kind) {
                @Override
                public OutputStream openOutputStream() {
                    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                    classes.put(mark + name, bytes);
                    return bytes;
                }
            };
        }
    }
}
