"""Claims about LiteRT: what its models hold, who computes them, and that batch norm, folded,
changes nothing for others. Skipped where its environment is absent."""

import json
from pathlib import Path

import pytest

from tests.support import inside
from tests.support.workers import THREADS, load, ready

# The kinds of a model's nodes, as the format's own classes read them.
LOOK = """
import json, sys
from ai_edge_litert import schema_py_generated as schema
from adapters.core.cost import declare
from adapters.litert import LiteRt
from suites import catalogue
litert, workload = LiteRt("", "cpu", "float32", 1), catalogue.get("{name}")
params = {{n: litert.place(p.initial(n, 0), p.role) for n, p in declare(workload).items()}}
model = schema.ModelT.InitFromPackedBuf(litert.written(workload, 2, params))
names = {{code: kind for kind, code in vars(schema.BuiltinOperator).items()}}
kinds = [names[code.builtinCode] for code in model.operatorCodes]
print(json.dumps([kinds[node.opcodeIndex] for node in model.subgraphs[0].operators]))
"""

# A convolution's result, and its batch norm: both are read.
SHARED = """
import numpy as np
from adapters.core.reference import Reference
from adapters.litert import LiteRt
from harness.worker.cell import Cell
from suites.workload import Workload

def function(net, x):
    y = net.conv("conv", x, 6, 3, padding=1, groups={groups})
    return net.add(net.batch_norm("bn", y), y)

shared = Workload("shared", "check", function, (3, 8, 8), 2, "shared")
cells = [Cell(each, shared, 2, "infer") for each in (LiteRt("", "cpu", "float32", 1), Reference())]
for cell in cells:
    cell.build()
found, expected = (cell.answer(cell.step())["output"] for cell in cells)
print(np.abs(found - expected).max() / np.abs(expected).max())
"""


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("check_conv3x3_groups2", ["CONV_2D", "TRANSPOSE", "RESHAPE"]),
        ("check_depthwise_doubled", ["DEPTHWISE_CONV_2D", "TRANSPOSE", "RESHAPE"]),
        ("resnet_basic", ["CONV_2D", "RELU", "CONV_2D", "ADD", "RELU"]),
    ],
)
def test_groups_are_one_node_and_batch_norm_is_none(name: str, kinds: list[str]) -> None:
    assert json.loads(inside.run("litert", LOOK.format(name=name))) == kinds


@pytest.mark.parametrize("groups", [1, 3])
def test_a_convolution_that_others_read_stays_beside_its_batch_norm(groups: int) -> None:
    assert float(inside.run("litert", SHARED.format(groups=groups))) < 1e-5


def test_what_it_says_of_itself_is_what_ran(tmp_path: Path) -> None:
    """All in XNNPACK; but what pads with minus infinity, which parts a model in two."""
    worker, opened = ready("litert", "float32", tmp_path)
    parts = {}
    try:
        for name in ("resnet20", "resnet18"):
            load(worker, (name, "infer", 1, 64 if name == "resnet18" else None))
            parts[name] = worker.ask("first")["manifest"]["xnnpack_parts"]
            worker.ask("unload")
    finally:
        worker.close()
    assert parts == {"resnet20": 1, "resnet18": 2}
    assert opened["manifest"]["threads"] == THREADS
