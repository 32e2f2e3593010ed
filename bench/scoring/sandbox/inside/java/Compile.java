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
 * <p>Reads: count, then per unit the number of files and each file's name and text. Writes per
 * unit: true and its classes (count, name and bytes each), or false and the first error. A unit
 * that takes too long ends the process; what was written before it stands, and the caller goes
 * on after it.
 */
final class Compile {
    private static final long UNIT_SECONDS = 20;
    private static volatile long deadline = Long.MAX_VALUE;

    private Compile() {}

    public static void main(String[] arguments) throws IOException {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in));
        DataOutputStream out =
                new DataOutputStream(
                        new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)));
        System.setOut(System.err);
        watch();
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        DiagnosticCollector<JavaFileObject> unread = new DiagnosticCollector<>();
        StandardJavaFileManager standard =
                compiler.getStandardFileManager(unread, null, StandardCharsets.UTF_8);
        standard.setLocation(StandardLocation.CLASS_PATH, List.of());
        out.writeBoolean(true);
        int units = in.readInt();
        for (int unit = 0; unit < units; unit++) {
            List<Source> sources = new ArrayList<>();
            int files = in.readInt();
            for (int file = 0; file < files; file++) {
                sources.add(new Source(text(in), text(in)));
            }
            deadline = System.nanoTime() + UNIT_SECONDS * 1_000_000_000L;
            compile(compiler, standard, sources, out);
            deadline = Long.MAX_VALUE;
            out.flush();
        }
    }

    private static void watch() {
        Thread thread =
                new Thread(
                        () -> {
                            while (System.nanoTime() < deadline) {
                                try {
                                    Thread.sleep(200);
                                } catch (InterruptedException interrupted) {
                                    return;
                                }
                            }
                            Runtime.getRuntime().halt(9);
                        });
        thread.setDaemon(true);
        thread.start();
    }

    private static void compile(
            JavaCompiler compiler,
            StandardJavaFileManager standard,
            List<Source> sources,
            DataOutputStream out)
            throws IOException {
        DiagnosticCollector<JavaFileObject> diagnostics = new DiagnosticCollector<>();
        Memory memory = new Memory(standard);
        String problem = "";
        boolean compiled = false;
        try {
            List<String> options = List.of("-proc:none", "-nowarn", "-Xlint:none", "-g:none");
            compiled =
                    compiler.getTask(null, memory, diagnostics, options, null, sources).call();
        } catch (StackOverflowError | RuntimeException error) {
            problem = "the compiler failed: " + error;
        }
        out.writeBoolean(compiled);
        if (!compiled) {
            for (Diagnostic<? extends JavaFileObject> diagnostic : diagnostics.getDiagnostics()) {
                if (problem.isEmpty() && diagnostic.getKind() == Diagnostic.Kind.ERROR) {
                    problem = diagnostic.getMessage(null);
                }
            }
            write(out, problem.getBytes(StandardCharsets.UTF_8));
            return;
        }
        out.writeInt(memory.classes.size());
        for (Map.Entry<String, ByteArrayOutputStream> entry : memory.classes.entrySet()) {
            write(out, entry.getKey().getBytes(StandardCharsets.UTF_8));
            write(out, entry.getValue().toByteArray());
        }
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
        final Map<String, ByteArrayOutputStream> classes = new LinkedHashMap<>();

        Memory(JavaFileManager under) {
            super(under);
        }

        @Override
        public JavaFileObject getJavaFileForOutput(
                Location location, String name, JavaFileObject.Kind kind, FileObject sibling) {
            return new SimpleJavaFileObject(URI.create("string:///" + name + ".class"), kind) {
                @Override
                public OutputStream openOutputStream() {
                    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                    classes.put(name, bytes);
                    return bytes;
                }
            };
        }
    }
}
