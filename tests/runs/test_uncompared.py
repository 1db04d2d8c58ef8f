"""Claims about what two runs share and cannot compare: none of it vanishes, nor is it misnamed."""

from pathlib import Path
from typing import Any

from reports.pages import compare_page
from tests.support.synthetic import edit_groups, write_run
from tests.support.two import SPEEDS, compared, pair, versions


def test_who_has_no_row_is_told_with_the_reason_and_has_no_mean_over_the_rest(
    tmp_path: Path,
) -> None:
    """A single launch in one run, and one that failed in both: neither vanishes."""
    failed = {("resnet20", "tensorflow"): ("crash", "it died")}
    runs = [write_run(tmp_path / name, SPEEDS, failures=failed) for name in ("old", "new")]

    def once(group: dict[str, Any]) -> bool:
        if group["comparison"].startswith("relu") and group["launch"] > 1:
            del group["turns"]["jax"]
        return True

    edit_groups(runs[1], once)
    found = compared(*runs, anchor="torch")
    assert found.unmeasured == [
        "jax is not compared in relu b32 infer: a single launch beside torch in the second run.",
        "tensorflow is not compared in resnet20 b32 infer: crash in both runs.",
        "No mean over all is told of jax: too little is known in relu b32 infer.",
        "No mean over all is told of tensorflow: too little is known in resnet20 b32 infer.",
    ]
    assert not found.overall


def test_where_the_anchor_failed_it_is_the_anchor_that_is_told(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", SPEEDS, failures={("relu", "torch"): ("wrong", "off")})
    found = compared(old, write_run(tmp_path / "new", SPEEDS), anchor="torch")
    [told, mean] = found.unmeasured
    assert told.startswith("jax and tensorflow are not compared in relu b32 infer: torch, the anch")
    assert told.endswith("anchor, is wrong in the first run.") and "relu b32 infer" in mean


def test_an_anchor_that_was_asked_for_is_not_said_to_have_stayed_nor_to_be_the_steadiest(
    tmp_path: Path,
) -> None:
    old, new = pair(tmp_path, {})
    for folder, version in ((old, "2.12"), (new, "2.13")):
        versions(folder, torch=version)
    found = compared(old, new, anchor="torch")
    assert found.sentence.startswith("As ratios to torch (2.12 in the first run, 2.13 in the seco")
    assert "taken to be the same" not in found.sentence
    text = compare_page.render(found)
    assert "is there because it was asked for" in text and "steadiest" not in text
    assert "it is the steadiest of those alike" in compare_page.render(compared(old, new))


def test_runs_that_share_the_anchor_alone_are_not_told_to_measure_longer(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, {"torch": 1.0, other: 1.5})
        for name, other in (("old", "jax"), ("new", "numpy"))
    ]
    told = compared(*runs).sentence
    assert told.startswith("Cannot compare: torch is the only contender that both runs hold")
    assert "--budget" not in told
