"""What test_state.py and test_state_refused.py have in common."""

import pytest

IDS = [3 + 11 * i * i % 490 for i in range(400)]


def after(context, ids, sequence=0) -> bytes:
    context.eval_batch([(t, sequence, i == len(ids) - 1) for i, t in enumerate(ids)])
    return context.logits().tobytes()


@pytest.fixture(scope="module")
def talk(stories):
    """Some sequences that share their beginning, one of them shifted; (context, what comes after each)."""
    with stories.context(length=1024, sequences=4) as context:
        context.eval(IDS[:200])
        context.copy_sequence(0, 1, 150)
        context.copy_sequence(0, 3)
        context.shift(70, 3)
        context.eval_batch([(t, s, s == 3) for t in IDS[200:210] for s in (1, 3)])
        context.eval(IDS[200:203])
        yield context


@pytest.fixture(scope="module")
def state(talk):
    return talk.state()
