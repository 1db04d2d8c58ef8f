"""Claims about the README: its table of findings says what the published runs say."""

from harness.paths import ROOT
from tests import found


def test_the_table_of_what_was_found_is_what_the_published_runs_say() -> None:
    """Where a rule changed, or a run was added: `python -m tests.found` prints it anew."""
    assert found.table() in (ROOT / "README.md").read_text()


def test_what_bfloat16_and_a_second_core_gained_is_what_the_published_runs_say() -> None:
    assert found.gained() in (ROOT / "README.md").read_text()
