"""Claims about what may be asked of a suite: only some of it, and at other sizes."""

import pytest

from harness.errors import Wrong
from harness.plan import suite
from harness.plan.question import Question, select

QUICK = suite.load("quick")


def _ids(asked: Question, of: suite.Suite = QUICK) -> list[str]:
    return [comparison.id.removesuffix("/cpu") for comparison in select(of, asked)]


def test_who_asks_nothing_gets_the_suite() -> None:
    assert select(QUICK, Question()) == list(QUICK.comparisons)


def test_a_workload_outside_the_suite_comes_at_its_usual_size() -> None:
    chosen = select(suite.load("smoke"), Question("resnet18"))
    assert {(c.batch, c.direction) for c in chosen} == {(32, "infer"), (32, "train")}


def test_each_batch_is_measured_in_place_of_the_suites() -> None:
    assert _ids(Question("resnet18", batch="1,8, 32")) == [
        "resnet18/b1/infer/float32",
        "resnet18/b8/infer/float32",
        "resnet18/b32/infer/float32",
        "resnet18@112/b1/train/float32",
        "resnet18@112/b8/train/float32",
        "resnet18@112/b32/train/float32",
    ]


def test_several_numbers_of_threads_are_comparisons_and_one_is_a_setting_of_the_run() -> None:
    asked = Question("lenet5", "infer", threads="2, 1,2")
    assert asked.counts == [1, 2]
    assert _ids(asked) == ["lenet5/b64/infer/float32/1t", "lenet5/b64/infer/float32/2t"]
    assert _ids(Question("lenet5", "infer", threads="4")) == ["lenet5/b64/infer/float32"]
    for wrong in ("0", "1,two", ",", "-1", ""):
        with pytest.raises(Wrong, match=r"--threads .*: expected whole numbers from 1 on"):
            select(QUICK, Question("lenet5", threads=wrong))


def test_lists_multiply() -> None:
    asked = Question("lenet5", "infer", batch="1,2", size="32,40", precision="float32,bfloat16")
    assert len(_ids(asked)) == 8
    assert _ids(asked)[-1] == "lenet5@40/b2/infer/bfloat16"


def test_a_direction_keeps_what_the_suite_has_of_it() -> None:
    trained = [c.id for c in QUICK.comparisons if c.direction == "train"]
    assert [c.id for c in select(QUICK, Question(direction="train"))] == trained
    assert select(QUICK, Question(direction="train,infer")) == list(QUICK.comparisons)
    assert _ids(Question("resnet18", "infer")) == ["resnet18/b1/infer/float32"]


def test_what_is_named_comes_in_a_direction_that_the_suite_lacks() -> None:
    assert _ids(Question("resnet18", "fwd_bwd")) == ["resnet18/b32/fwd_bwd/float32"]
    asked = Question("resnet20,resnet18", "train", batch="4")
    assert _ids(asked) == ["resnet20/b4/train/float32", "resnet18@112/b4/train/float32"]


def test_what_becomes_the_same_is_measured_once_and_stays_a_headline() -> None:
    """A suite may ask for the same in two precisions, as a headline in one of them."""
    full = suite.load("full")
    wanted = {(c.workload, c.batch, c.direction) for c in full.comparisons if c.headline}
    chosen = select(full, Question(precision="bfloat16"))
    assert len({c.id for c in chosen}) == len(chosen) < len(full.comparisons)
    assert {(c.workload, c.batch, c.direction) for c in chosen if c.headline} == wanted
    assert len(_ids(Question("lenet5", "infer", batch="4,4"))) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Question("resnet18", batch="0"), "--batch '0': expected whole numbers from 1 on"),
        (Question("resnet18", batch="1,x"), "--batch '1,x'"),
        (Question("resnet18", batch=" , "), "--batch ' , '"),
        (Question("resnet18", batch="²"), "--batch '²'"),
        (Question("resnet18", batch="9" * 10), "--batch '9999999999'"),
        (Question("resnet18", size="-1"), "--size '-1': expected whole numbers from 1 on"),
        (Question("resnet18", size="1.5"), "--size '1.5'"),
        (Question("alexnet", size="3"), "--size 3: alexnet@3/b.* cannot be"),
        (Question("relu*", "train"), "--direction train: relu_.* has no parameters to train"),
        (Question(direction="back"), "--direction 'back': expected infer, fwd_bwd, train"),
        (Question(direction=""), "--direction '': expected"),
        (Question(direction="fwd_bwd"), "suite 'quick' has nothing of it; name .* --workloads"),
        (Question(precision="float32,float8"), "--precision 'float32,float8': expected float32"),
        (Question("resnet19"), "unknown workload 'resnet19'"),
        (Question(" , "), "names none"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_line(asked: Question, said: str) -> None:
    with pytest.raises(Wrong, match=said) as caught:
        select(QUICK, asked)
    assert "\n" not in str(caught.value)
