"""What test_evaluation.py and test_evaluation_runs.py have in common."""

import evaluation_items
import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return evaluation_items.write(tmp_path_factory.mktemp("data"))
