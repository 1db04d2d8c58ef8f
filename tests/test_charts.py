"""Claims about the charts: what their marks tell apart, and what their axes have room for."""

from types import SimpleNamespace

from adapters.core import discovery
from reports import template
from reports.charts import marks


def everybody() -> list[dict[str, str]]:
    """Every contender that there is, as a plan names them."""
    return [
        {"name": f"{name}:{variant}" if variant else name, "adapter": name}
        for name in discovery.names()
        for variant in discovery.adapter_class(name).variants
    ]


def test_no_two_contenders_share_colour_and_shape() -> None:
    run = SimpleNamespace(contenders=everybody())
    colours, shapes = marks.colours(run), marks.shapes(run)
    found = [(colours[name], shapes[name]) for name in colours]
    assert len(found) == len(set(found)) > 20
    assert not set(marks.SPARE) & set(marks.FIXED.values())


def test_a_frameworks_own_model_has_its_colour_and_another_shape() -> None:
    run = SimpleNamespace(contenders=everybody())
    colours, shapes = marks.colours(run), marks.shapes(run)
    for native, portable in marks.NATIVE.items():
        assert colours[native] == colours[portable] and shapes[native] != shapes[portable]


def test_every_shape_has_an_outline_for_the_text_and_a_dash_for_a_line() -> None:
    assert set(marks.SHAPES) == set(template.OUTLINES)
    assert len(marks.DASHES) == len(marks.SHAPES) == len({str(dash) for dash in marks.DASHES})
