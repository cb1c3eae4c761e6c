"""Several threads, and callbacks that call back in. The hosts are in C, so that nothing stands between: Tests/c/threads.c.
The same program runs under ThreadSanitizer in Tests/trust/sanitize.sh."""

import hosts
import pytest

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def threads(tmp_path_factory):
    return hosts.build("threads", tmp_path_factory.mktemp("threads"))


def test_a_callback_that_calls_back_in_gets_busy_from_every_function(threads, stories_path, tmp_path):
    """The callbacks of cancel, pieces, perplexity and importance; afterwards the logits are the same bits."""
    hosts.run(threads, "callbacks", stories_path, tmp_path / "importance.gguf")


def test_a_second_thread_gets_busy_from_every_function_and_disturbs_nothing(threads, stories_path):
    hosts.run(threads, "second-thread", stories_path)


def test_a_context_freed_while_another_thread_is_inside_ends_when_that_call_returns(threads, stories_path):
    hosts.run(threads, "freed-while-inside", stories_path)


def test_handles_that_eight_threads_use_and_free_at_once_give_promised_statuses_only(threads, stories_path):
    hosts.run(threads, "shared-handles", stories_path, 300)


def test_one_model_with_eight_contexts_on_eight_threads_freed_in_any_order(threads, stories_path):
    hosts.run(threads, "shared-model", stories_path, 15)
