import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/** What is hard in Java: its own signal handlers and guard pages, attached threads, exceptions. java Hard MODEL */
final class Hard {
    private static final String PROMPT = "Once upon a time";

    private interface Work { void run() throws Exception; }

    /** Runs `work` on `count` threads of `stack` bytes (0: Java's own choice); what one of them throws is thrown. */
    private static void onThreads(int count, long stack, Work work) throws Exception {
        List<Thread> threads = new ArrayList<>();
        List<Throwable> thrown = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Thread thread = new Thread(null, () -> {
                try { work.run(); } catch (Throwable t) { synchronized (thrown) { thrown.add(t); } }
            }, "work " + i, stack);
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) thread.join();
        if (!thrown.isEmpty()) throw new AssertionError(thrown.get(0));
    }

    private static void mustBe(String what, boolean so) { if (!so) throw new AssertionError("not so: " + what); }

    /** Collections stop the threads at safepoints, which Java does by pages that may not be read and SIGSEGV. */
    private static int storiesAreTheSameUnderCollections(Llama2.Model model, String expected) throws Exception {
        AtomicBoolean done = new AtomicBoolean();
        AtomicInteger stories = new AtomicInteger();
        Thread collector = new Thread(() -> {
            for (; !done.get(); Thread.yield()) System.gc();
        });
        collector.start();
        Work work = () -> {
            try (Llama2.Context context = model.context(1 + stories.getAndIncrement() % 2)) {
                mustBe("the same story", context.story(PROMPT).equals(expected));
            }
        };
        onThreads(16, 0, work);
        onThreads(8, 256 << 10, work); // a small stack, Java's guard pages at its end
        done.set(true);
        collector.join();
        return stories.get();
    }

    private static int threadsOfCAreAttachedAndCallBack(Llama2.Model model, String expected) throws Exception {
        AtomicInteger stories = new AtomicInteger();
        onThreads(4, 0, () -> {
            try (Llama2.Context context = model.context(1)) {
                for (int i = 0; i < 3; i++, stories.incrementAndGet())
                    mustBe("the same story", context.storyOnThreadOfC(PROMPT).equals(expected));
            }
        });
        return stories.get();
    }

    private static int deeper(int depth) { return deeper(depth + 1) + 1; }

    /** An exception of the program's, and the stack overflow that Java finds at its guard pages, above frames of C. */
    private static int exceptionsInCallbacksComeOutAndTheContextLives(Llama2.Model model, String expected) throws Exception {
        int[] tokens = model.tokenize(PROMPT);
        AtomicInteger caught = new AtomicInteger();
        onThreads(2, 512 << 10, () -> {
            try (Llama2.Context context = model.context(2)) {
                for (int i = 0; i < 20; i++) {
                    int last = i % 10, number = i;
                    int[] pieces = {0};
                    context.reset();
                    try {
                        context.generate(tokens, 20, piece -> {
                            if (pieces[0]++ < last) return true;
                            if (number % 2 == 0) throw new IllegalStateException("piece " + last);
                            return deeper(0) > 0;
                        });
                        mustBe("an exception", false);
                    } catch (IllegalStateException e) {
                        mustBe("its own message", e.getMessage().equals("piece " + last) && number % 2 == 0);
                        caught.incrementAndGet();
                    } catch (StackOverflowError e) {
                        mustBe("every second time", number % 2 == 1);
                        caught.incrementAndGet();
                    }
                }
                mustBe("the same story", context.story(PROMPT).equals(expected));
            }
        });
        return caught.get();
    }

    @SuppressWarnings("try") // the explicit close
    private static void aSecondUserIsRefusedAndFailuresAreSentences(Llama2.Model model) throws Exception {
        try (Llama2.Context context = model.context(1)) {
            int[] statuses = new int[2];
            context.generate(model.tokenize(PROMPT), 20, piece -> {
                try { context.reset(); } catch (Llama2.Failure f) { statuses[0] = f.status; }
                Thread other = new Thread(() -> { try { context.reset(); } catch (Llama2.Failure f) { statuses[1] = f.status; } });
                other.start();
                try { other.join(); } catch (InterruptedException e) { throw new AssertionError(e); }
                return false;
            });
            mustBe("busy for the callback and for another thread", statuses[0] == -62 && statuses[1] == -62);
            try {
                context.eval(512);
                mustBe("a failure", false);
            } catch (Llama2.Failure f) {
                mustBe("a sentence: " + f.getMessage(), f.status == -7 && f.getMessage().contains("512"));
            }
            context.close(); // the second time, at the end of the block, does nothing
            try {
                context.reset();
                mustBe("a failure", false);
            } catch (Llama2.Failure f) {
                mustBe("bad handle", f.status == -3);
            }
        }
    }

    /** The same bits, whether the prompt comes in one piece or each token from a thread of its own. */
    private static void logitsAreTheSameBitsFromEveryThread(Llama2.Model model) throws Exception {
        int[] tokens = model.tokenize(PROMPT);
        try (Llama2.Context whole = model.context(1); Llama2.Context parts = model.context(2)) {
            whole.eval(tokens);
            for (int token : tokens) onThreads(1, 0, () -> parts.eval(token));
            mustBe("the same bits", java.util.Arrays.equals(whole.logits(), parts.logits()) && whole.logits().length == 512);
        }
    }

    public static void main(String[] arguments) throws Exception {
        try (Llama2.Model model = new Llama2.Model(arguments[0])) {
            String expected;
            try (Llama2.Context context = model.context(1)) { expected = context.story(PROMPT); }
            int stories = storiesAreTheSameUnderCollections(model, expected);
            int attached = threadsOfCAreAttachedAndCallBack(model, expected);
            int exceptions = exceptionsInCallbacksComeOutAndTheContextLives(model, expected);
            logitsAreTheSameBitsFromEveryThread(model);
            aSecondUserIsRefusedAndFailuresAreSentences(model);
            System.out.printf("%d stories of Java's threads (8 of them with 256 KiB stacks) and %d of attached threads of C were equal; "
                + "%d exceptions and stack overflows came out of callbacks%n", stories, attached, exceptions);
        }
    }
}
