import java.nio.charset.StandardCharsets;

/** A small binding by JNI; its other half is llama2_jni.c. Java 11 or later. */
final class Llama2 {
    /** Gets the text as it comes; false ends the generation. Called on the thread that called generate. */
    interface Receiver { boolean piece(String text); }

    static final class Failure extends RuntimeException {
        private static final long serialVersionUID = 1;
        final int status;
        Failure(int status, byte[] sentence) {
            super(new String(sentence, StandardCharsets.UTF_8));
            this.status = status;
        }
    }

    /** Any number of threads may use it at once. */
    static final class Model implements AutoCloseable {
        private final long handle;
        Model(String path) { handle = load(bytes(path)); }
        int[] tokenize(String text) { return Llama2.tokenize(handle, bytes(text)); }
        Context context(int threads) { return new Context(this, threads); }
        @Override public void close() { freeModel(handle); }
    }

    /** For one thread at a time, whichever. */
    static final class Context implements AutoCloseable {
        private final Model model;
        private final long handle;
        Context(Model model, int threads) {
            this.model = model;
            handle = create(model.handle, threads);
        }
        void reset() { Llama2.reset(handle); }
        void eval(int... tokens) { Llama2.eval(handle, tokens); }
        float[] logits() { return Llama2.logits(handle); }

        /** Greedy. What the receiver throws ends the generation and comes out of this method. */
        void generate(int[] prompt, long maxTokens, Receiver receiver) {
            // Bytes, not a String: JNI's own strings are in a UTF-8 of Java's, which writes NUL and emoji in another way.
            Llama2.generate(handle, prompt, maxTokens, receiver == null ? null : new Bytes(receiver));
        }

        /** 201 positions, prompt included: llama2.c's `run -n 200`, which the golden stories were made like. */
        String story(String prompt) {
            reset();
            int[] tokens = model.tokenize(prompt);
            StringBuilder text = new StringBuilder(prompt);
            generate(tokens, 201 - tokens.length, piece -> { text.append(piece); return true; });
            return text.toString();
        }

        /** The same, on a thread that C starts and attaches to the Java machine. */
        String storyOnThreadOfC(String prompt) {
            reset();
            int[] tokens = model.tokenize(prompt);
            StringBuilder text = new StringBuilder(prompt);
            onThreadOfC(handle, tokens, 201 - tokens.length, new Bytes(piece -> { text.append(piece); return true; }));
            return text.toString();
        }
        @Override public void close() { freeContext(handle); }
    }

    /** What C calls. */
    private static final class Bytes {
        private final Receiver receiver;
        Bytes(Receiver receiver) { this.receiver = receiver; }
        boolean piece(byte[] utf8) { return receiver.piece(new String(utf8, StandardCharsets.UTF_8)); }
    }

    private static byte[] bytes(String text) { return text.getBytes(StandardCharsets.UTF_8); }

    static { System.loadLibrary("llama2jni"); } // in java.library.path

    private static native long load(byte[] path);
    private static native void freeModel(long model);
    private static native int[] tokenize(long model, byte[] text);
    private static native long create(long model, int threads);
    private static native void freeContext(long context);
    private static native void reset(long context);
    private static native void eval(long context, int[] tokens);
    private static native float[] logits(long context);
    private static native void generate(long context, int[] prompt, long maxTokens, Bytes receiver);
    private static native void onThreadOfC(long context, int[] prompt, long maxTokens, Bytes receiver);
}
