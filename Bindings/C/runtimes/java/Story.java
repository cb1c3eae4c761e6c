/** Tells a story: java Story MODEL PROMPT */
final class Story {
    public static void main(String[] arguments) {
        try (Llama2.Model model = new Llama2.Model(arguments[0]); Llama2.Context context = model.context(0)) {
            int[] tokens = model.tokenize(arguments[1]);
            System.out.print(arguments[1]);
            context.generate(tokens, 201 - tokens.length, piece -> {
                System.out.print(piece);
                System.out.flush();
                return true;
            });
            System.out.println();
        } catch (Llama2.Failure failure) {
            System.err.println(failure.getMessage());
            System.exit(1);
        }
    }
}
