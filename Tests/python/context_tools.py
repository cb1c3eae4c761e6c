"""What test_context.py and test_context_resources.py have in common."""

import pytest

TOKENS = list(range(10, 60))


@pytest.fixture
def context(stories):
    with stories.context(length=100, threads=2) as context:
        yield context
