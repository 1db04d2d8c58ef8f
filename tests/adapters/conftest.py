"""What those share who compute beside the reference."""

import os
from collections.abc import Iterator

import pytest

from tests.support.workers import Oracle


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    session = tmp_path_factory.getbasetemp()
    answers = (session.parent if "PYTEST_XDIST_WORKER" in os.environ else session) / "answers"
    answers.mkdir(exist_ok=True)
    oracle = Oracle(tmp_path_factory.mktemp("oracle"), answers)
    yield oracle
    oracle.close()
