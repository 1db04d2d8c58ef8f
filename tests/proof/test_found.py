"""Claims about the README: its table of findings says what the published runs say."""

from harness.paths import ROOT
from harness.record import records
from reports.verdicts import analyse
from tests import found


def test_the_table_of_what_was_found_is_what_the_published_runs_say() -> None:
    """Where a rule changed, or a run was added: `python -m tests.found` prints it anew."""
    assert found.table() in (ROOT / "README.md").read_text()


def test_what_bfloat16_and_a_second_core_gained_is_what_the_published_runs_say() -> None:
    assert found.gained() in (ROOT / "README.md").read_text()


def test_what_is_said_of_one_core_is_what_its_run_says() -> None:
    analysis = analyse(records.read(found.PUBLISHED / found.THREADS))
    said = {each.title: each for each in analysis.recommendations}
    general, training = (
        [said[f"{use} ({n})"] for n in ("1 thread", "2 threads")]
        for use in ("General use", "Training throughput")
    )
    assert [each.choice for each in (*general, *training)] == ["tensorflow", None] * 2
    assert general[1].ranking[0]["contender"] == "tensorflow"
    assert sorted(training[1].tied) == ["tensorflow", "torch"]
    [single] = [
        change
        for change in analysis.scaling.own
        if change.contender == "torch" and change.comparison.startswith("conv1x1")
    ]
    assert f"one workload stands at {single.ratio:.2f}" in _readme()


def test_what_is_said_of_a_single_thread_is_what_its_run_says() -> None:
    analysis = analyse(records.read(found.PUBLISHED / "resnet50-epyc"))
    one, two = (
        next(c for c in analysis.comparisons if c.batch == 1 and c.threads == count)
        for count in (1, 2)
    )
    pairs = [c.ratio("torch", "tensorflow") for c in (one, two)]
    frozen = one.ratio("torch:compile-freezing", "torch")
    assert frozen and all(pairs)
    on_one, on_two = (f"{pair.ratio:.2f} times" for pair in pairs if pair)
    assert f"torch took {on_one} TensorFlow's time on one thread and {on_two} on two" in _readme()
    assert f"took {frozen.ratio:.2f} of torch's on one" in _readme()


def test_what_is_said_of_an_engine_is_what_its_runs_say() -> None:
    told, frozen = (
        [
            "{:.2f} to {:.2f}".format(*found.engine("onnxruntime", f"serving-{name}", than))
            for name in ("xeon", "epyc")
        ]
        for than in ("", "torch:compile-freezing")
    )
    assert f"onnxruntime took {told[0]} of the time" in _readme()
    assert f"on the Xeon, {told[1]} on an EPYC" in _readme()
    assert f"as an engine's are, {frozen[0]} and {frozen[1]}." in _readme()


def _readme() -> str:
    """Without its line breaks."""
    return " ".join((ROOT / "README.md").read_text().split())
