import java.time.Duration;

/**
 * Acts when one piece of work takes too much CPU time; a busy machine does not count.
 */
final class Deadline {
    private static final int EXIT_CODE = 9;
    private static volatile long end = Long.MAX_VALUE;

    private Deadline() {}

    /** Ends the process at a deadline, after {@code last}; the other side goes on behind it. */
    static void watch(Runnable last) {
        Thread thread =
                new Thread(
                        () -> {
                            while (cpuSeconds() < end) {
                                try {
                                    Thread.sleep(500);
                                } catch (InterruptedException interrupted) {
                                    return;
                                }
                            }
                            last.run();
                            Runtime.getRuntime().halt(EXIT_CODE);
                        });
        thread.setDaemon(true);
        thread.start();
    }

    static void within(long seconds) {
        end = cpuSeconds() + seconds;
    }

    static void none() {
        end = Long.MAX_VALUE;
    }

    private static long cpuSeconds() {
        return ProcessHandle.current().info().totalCpuDuration().map(Duration::toSeconds).orElse(0L);
    }
}
