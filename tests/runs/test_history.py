"""Claims about 2016 beside today: what was published, what was measured, and no ranking."""

from pathlib import Path

import pytest

from harness.record import records
from reports import verdicts
from reports.pages import page
from reports.runs import history
from tests.support.synthetic import CONVNETS, write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "convnets"
    return write_run(folder, {"torch": 1.0, "jax": 2.0}, workloads=CONVNETS)


@pytest.fixture(scope="module")
def works(folder: Path) -> dict[str, history.Work]:
    return {w.title: w for w in history.history(verdicts.analyse(records.read(folder)))}


def test_the_published_figures_are_those_of_the_table() -> None:
    then = history.published()
    assert {name: len(then[name]) for name in history.TITLES} == {
        "alexnet": 13, "overfeat": 13, "vgg_a": 13, "googlenet": 9,
    }  # fmt: skip
    best = then["alexnet"][0]
    assert (best.name, best.batch, best.precision) == ("CuDNN[R4]-fp16 (Torch)", 128, "float16")
    assert best.both == pytest.approx(128 / 0.071) and best.forward == pytest.approx(128 / 0.025)
    fastest = then["layer_l5"][0]
    assert (fastest.name, fastest.both) == ("fbfft", pytest.approx(128 / 0.027))
    assert not any(entry.name == "cherry-picking" for entry in then["layer_l1"])


def test_what_was_measured_here_stands_beside_it_in_images_a_second(
    works: dict[str, history.Work],
) -> None:
    assert list(works) == ["AlexNet", "VGG model A", "Layer L5"]
    torch, jax = works["AlexNet"].now
    assert (torch.name, jax.name, torch.batch) == ("torch", "jax", 128)
    assert torch.both == pytest.approx(128 / 0.01, rel=0.02)  # a call takes 10 ms
    assert jax.forward == pytest.approx(64 / 0.01, rel=0.02)
    assert len(works["AlexNet"].then) == 13


def test_another_batch_is_said_to_be_another(works: dict[str, history.Work], folder: Path) -> None:
    assert works["AlexNet"].same_batch and not works["VGG model A"].same_batch
    text = page.render(verdicts.analyse(records.read(folder)))
    section = text.partition('<section id="history"')[2].partition("</section>")[0]
    assert section.count("The batches differ") == 1
    assert "(then 64, here 2)" in section
    assert "nothing here ranks one side against the other" in section
    assert all(works[title].sentence in section for title in works)
    assert "Nervana-neon-fp32" in section and 'href="#history"' in text


def test_each_number_of_threads_has_a_row_of_its_own(tmp_path: Path) -> None:
    """Else the last one's figures stood for all, direction by direction."""
    works = [(*each, "float32", n) for each in CONVNETS for n in (1, 2)]
    analysis = verdicts.analyse(
        records.read(write_run(tmp_path / "run", {"torch": 1.0}, 6, None, works))
    )
    [alexnet, *_] = history.history(analysis)
    rows = [(entry.name, entry.threads) for entry in alexnet.now]
    assert sorted(rows) == [("torch", "1 thread"), ("torch", "2 threads")]
    assert all(entry.forward and entry.both for entry in alexnet.now)
    assert "torch, 2 threads</th>" in page.render(analysis)


def test_any_other_run_has_no_such_section(tmp_path: Path) -> None:
    alone = [("alexnet", "convnet", 1, None, "infer", False)]
    for name, workloads in (("quick", None), ("alone", alone)):
        more = {"workloads": workloads} if workloads else {}
        folder = write_run(tmp_path / name, {"torch": 1.0, "jax": 2.0}, **more)
        analysis = verdicts.analyse(records.read(folder))
        assert history.history(analysis) == []
        assert 'id="history"' not in page.render(analysis)
