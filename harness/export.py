"""Writes a workload as an ONNX model, in an environment that has `onnx`.

    python -m harness.export ADAPTER WORKLOAD BATCH SIZE SEED PATH

The model is the one that the engines are measured by, from the same builder and the same
weights as in a run (seed 0). The controller has no `onnx`: `write` runs this file in the
environment of an adapter that has, and gives its answer.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from adapters.core import discovery
from harness.errors import Wrong
from harness.install import environments
from suites import catalogue

WRITERS = ("onnxruntime", "openvino")  # whoever is installed can write it
PATIENCE = 600


def write(workload: str, path: Path, batch: int | None, size: int | None, seed: int) -> Any:
    """Raises Wrong. Returns what was written: `path`, `bytes`, `input`, `output`."""
    from harness.plan.suite import Comparison, check

    try:
        known = catalogue.get(workload)
    except KeyError as error:
        raise Wrong(error.args[0]) from None
    asked = Comparison(workload, known.batch if batch is None else batch, size)
    check(asked, "export")
    target = _target(path)
    if not os.path.isdir(target.parent):
        raise Wrong(f"--onnx {path}: expected a file in a folder that is there")
    if os.path.lexists(target) and not os.path.isfile(target):
        raise Wrong(f"--onnx {path} is there, and no regular file: name a file to write")
    pythons = {name: environments.python_of(name, "cpu") for name in WRITERS}
    name, python = next(((n, p) for n, p in pythons.items() if p is not None), ("", None))
    if python is None:
        raise Wrong("no environment here has the package 'onnx': run `bakeoff setup onnxruntime`")
    sizes = (asked.batch, size or 0, seed)
    words = ("-m", "harness.export", name, workload, *map(str, sizes), str(path.absolute()))
    done = environments.run_python(python, *words, timeout=PATIENCE)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Wrong(f"{workload} cannot be written to {path}: {said}")
    return json.loads(done.stdout.splitlines()[-1])


def main(adapter: str, workload: str, batch: int, size: int, seed: int, path: Path) -> None:
    """In the environment that has `onnx`: builds the model, checks it, writes it whole."""
    from adapters.core.cost import declare

    resized = catalogue.get(workload).resized(size or None)
    writer: Any = discovery.adapter_class(adapter)("", "cpu", "float32", 1)
    params = {
        name: writer.place(p.initial(name, seed), p.role, p.groups)
        for name, p in declare(resized).items()
    }
    model = writer.model(resized, params, (batch, *resized.input))
    model.doc_string = f"Bakeoff: {resized.summary} Weights are random, of seed {seed}."
    writer.onnx.checker.check_model(model, full_check=True)
    target = _target(path)
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.write_bytes(model.SerializeToString())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    ends = [
        [d.dim_value for d in end.type.tensor_type.shape.dim]
        for end in (model.graph.input[0], model.graph.output[0])
    ]
    told = {"path": str(path), "bytes": path.stat().st_size, "input": ends[0], "output": ends[1]}
    print(json.dumps(told))


def _target(path: Path) -> Path:
    """Where a link leads: that file is written, and the link stays."""
    return Path(os.path.realpath(path))


if __name__ == "__main__":
    adapter, workload, batch, size, seed, path = sys.argv[1:]
    try:
        main(adapter, workload, int(batch), int(size), int(seed), Path(path))
    except (OSError, ValueError) as error:
        sys.exit(str(error))
