import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/**
 * Runs suites' tests against samples in processes of their own: nothing model-written runs here.
 *
 * <p>Reads jobs, each with its length before it: the model's classes as one block for the sample,
 * the classes of the test, and the name of the one whose {@code main} is to return. Connects to
 * the sample at the place that is given and writes the outcome, the number of tests that held
 * and a detail, with their length before them. A test that takes too many CPU seconds on what the
 * sample returned ends the process; the caller starts another.
 *
 * <p>Arguments: these seconds, and the place.
 */
final class Tester {
    private static final int STACK_BYTES = 16 << 20, LONGEST_DETAIL = 400;

    private final DataOutputStream out;
    private final UnixDomainSocketAddress place;

    private Tester(DataOutputStream out, String place) {
        this.out = out;
        this.place = UnixDomainSocketAddress.of(place);
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 16));
        DataOutputStream out =
                new DataOutputStream(
                        new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)));
        System.setOut(new PrintStream(OutputStream.nullOutputStream()));
        System.setErr(System.out);
        System.setIn(InputStream.nullInputStream());
        int seconds = Integer.parseInt(arguments[0]);
        Tester tester = new Tester(out, arguments[1]);
        Deadline.watch(() -> tester.report("timeout", "the test takes too long on what was returned"));
        while (true) {
            byte[] head = in.readNBytes(Long.BYTES);
            if (head.length < Long.BYTES) {
                Runtime.getRuntime().halt(0);
            }
            int size = (int) java.nio.ByteBuffer.wrap(head).getLong();
            byte[] job = in.readNBytes(size);
            Thread test = new Thread(null, () -> tester.job(job), "test", STACK_BYTES);
            Deadline.within(seconds);
            test.start();
            test.join();
            Deadline.none();
        }
    }

    private void job(byte[] bytes) {
        DataInputStream job = new DataInputStream(new ByteArrayInputStream(bytes));
        Throwable thrown;
        Bridge bridge = null;
        boolean started = false;
        try (SocketChannel channel = SocketChannel.open(place)) {
            DataInputStream in =
                    new DataInputStream(new BufferedInputStream(Channels.newInputStream(channel)));
            DataOutputStream out =
                    new DataOutputStream(new BufferedOutputStream(Channels.newOutputStream(channel)));
            bridge = new Bridge(in, out);
            started = in.read() == Run.READY;
            out.write(job.readNBytes(job.readInt()));
            out.flush();
            bridge.answer(Run.LOADED);
            bridge.use();
            Loader test = new Loader(Tester.class.getClassLoader(), job);
            Method main = test.loadClass(Values.text(job)).getDeclaredMethod("main", String[].class);
            main.setAccessible(true);
            main.invoke(null, (Object) new String[0]);
            thrown = null;
        } catch (InvocationTargetException raised) {
            thrown = raised.getCause();
        } catch (IOException gone) {
            thrown = gone;
            if (bridge != null) {
                bridge.died = true;
            }
        } catch (Throwable raised) {
            thrown = raised;
        }
        if (!started) {
            report("not-run", "the sample did not start");
        } else if (bridge.died) {
            report("died", "it ended before it answered");
        } else if (thrown == null) {
            report("passed", "");
        } else {
            report(outcome(thrown), told(thrown));
        }
    }

    private static String outcome(Throwable thrown) {
        if (thrown instanceof AssertionError) {
            return "failed";
        }
        return thrown instanceof OutOfMemoryError ? "memory" : "error";
    }

    private static String told(Throwable thrown) {
        String text = thrown.getClass().getName();
        text += thrown.getMessage() == null ? "" : ": " + thrown.getMessage();
        return text.length() > LONGEST_DETAIL ? text.substring(0, LONGEST_DETAIL) : text;
    }

    private synchronized void report(String outcome, String detail) {
        int held = outcome.equals("passed") ? 1 : 0;
        byte[] text = (outcome + " " + held + " " + detail).getBytes(StandardCharsets.UTF_8);
        try {
            out.writeLong(text.length);
            out.write(text);
            out.flush();
        } catch (IOException gone) {
            Runtime.getRuntime().halt(1);
        }
    }
}
