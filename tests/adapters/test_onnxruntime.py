"""Claims about ONNX Runtime on a GPU, as far as a processor can tell: a call is queued, and whoever
waits or reads is given what is done. Skipped where its environment is absent."""

import json

from tests.support import inside

# A GPU's way through the adapter, the session itself being a processor's.
QUEUED = """
import json, os
import numpy as np
from adapters.core.reference import Reference
from adapters.onnxruntime import OnnxRuntime
from harness.worker.cell import Cell
from suites import catalogue

class Queued(OnnxRuntime):
    def __init__(self, *asked):
        super().__init__(*asked)
        self.device, self.told = "cuda", []

    def _value(self, array):
        return self.ort.OrtValue.ortvalue_from_numpy(array)

    def opens(self, path, x):
        run = super().opens(path, x)
        session, binding = self.session, self.binding
        told = self.told

        class Binding:
            def synchronize_outputs(self):
                told.append("waited")
                binding.synchronize_outputs()

        self.binding = Binding()
        return run

workload = catalogue.get("lenet5")
both = Queued("", "cpu", "float32", 1), Reference()
cells = [Cell(each, workload, 2, "infer") for each in both]
answers, before = [], []
for cell in cells:
    cell.build()
    result = cell.step()
    before.append(len(getattr(cell.adapter, "told", [])))
    cell.sync(result)
    answers.append(cell.answer(result)["output"])
queued = cells[0].adapter
near = bool(np.allclose(*answers, atol=1e-4))
print(json.dumps({"near": near, "before": before, "after": queued.told, **queued.manifest()}))
"""


def test_a_call_on_a_gpu_is_queued_and_waited_for() -> None:
    found = json.loads(inside.run("onnxruntime", QUEUED))
    assert found["near"]
    assert found["before"] == [0, 0]
    assert found["after"] == ["waited", "waited"]  # by the sync, and by who reads
    assert found["autotune"] is False  # of this release


def test_a_strict_run_on_a_gpu_forbids_its_libraries_tf32() -> None:
    """Before they are loaded, as they read it then; another precision is not touched."""
    code = (
        "import os\n"
        "from adapters.onnxruntime import OnnxRuntime\n"
        "from adapters.core.base import Unsupported\n"
        "for precision in ('tf32', 'float32'):\n"
        "    try: OnnxRuntime('', 'cuda', precision, 1)\n"
        "    except Exception: pass\n"
        "    print(os.environ.get('NVIDIA_TF32_OVERRIDE'))\n"
    )
    assert inside.run("onnxruntime", code).split() == ["None", "0"]
