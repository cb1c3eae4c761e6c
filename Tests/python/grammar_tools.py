"""What the tests of grammars share."""


def holds(grammar, yes, no):
    for text in yes:
        assert grammar.accepts(text), text
    for text in no:
        assert not grammar.accepts(text), text
