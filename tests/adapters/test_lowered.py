"""Claims about what JAX asks of a GPU: its programs are lowered for CUDA where there is none, and
every convolution and product asks for the precision that is measured. Skipped where its environment
is absent."""

import json

import pytest

from tests.support import inside

LOWERED = """
import json, re
import jax
from adapters.jax import Jax
from harness.worker.cell import Cell
from suites import catalogue

class Lowered(Jax):
    def _jit(self, function, **options):
        call = super()._jit(function, **options)

        def both(*given):
            self.text = jax.export.export(call, platforms=["cuda"])(*given).mlir_module()
            return call(*given)

        return both

ASKED = r"stablehlo\\.(convolution|dot_general)\\b(.*?): \\(tensor<([^>]*)>, tensor<([^>]*)>\\)"
precision = "{precision}"
adapter = Lowered("{variant}", "cpu", precision.replace("tf32", "float32"), 1)
adapter.precision = precision  # a processor has no TF32: it is asked for all the same
adapter.settle()
found = []
for name in ("lenet5", "mobilenet_block"):
    for direction in ("infer", "train"):
        cell = Cell(adapter, catalogue.get(name), 1, direction)
        cell.build()
        cell.step()
        for kind, how, *operands in re.findall(ASKED, adapter.text):
            asked = sorted(set(re.findall(r"HIGHEST|HIGH|DEFAULT", how)))
            found.append([kind, asked, sorted({{each.split("x")[-1] for each in operands}})])
print(json.dumps(found))
"""


@pytest.mark.parametrize("variant", ["", "nchw"])
@pytest.mark.parametrize(
    ("precision", "asked", "kind"),
    [
        ("float32", ["HIGHEST"], "f32"),
        ("tf32", ["HIGH"], "f32"),
        ("bfloat16", ["DEFAULT"], "bf16"),
        ("float64", ["HIGHEST"], "f64"),
    ],
)
def test_what_a_gpu_is_asked_for_is_the_precision_that_is_measured(
    precision: str, asked: list[str], kind: str, variant: str
) -> None:
    told = inside.run("jax", LOWERED.format(precision=precision, variant=variant))
    found = json.loads(told)
    assert {name for name, *_ in found} == {"convolution", "dot_general"}
    for name, how, operands in found:
        # Unless it is said otherwise the default is asked, and no word of it.
        assert (how or ["DEFAULT"], operands) == (asked, [kind]), name
