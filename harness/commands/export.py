"""Take a workload elsewhere: export."""

from pathlib import Path
from typing import Annotated

import typer

from harness import export as writing
from harness.commands.common import Json, app, print_json


@app.command()
def export(
    workload: Annotated[str, typer.Argument(help="By name; `bakeoff list` shows them.")],
    onnx: Annotated[Path, typer.Option(metavar="PATH", help="The file to write.")],
    batch: Annotated[int | None, typer.Option(help="Default: the workload's own.")] = None,
    size: Annotated[int | None, typer.Option(help="Square images of so many pixels.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the weights; a run has 0.")] = 0,
    json_: Json = False,
) -> None:
    """Write a workload with its weights as an ONNX model, for any engine that reads one.

    Weights are random, the same for the same seed: the model is for timing, not for use.

    Example: `bakeoff export resnet50 --onnx resnet50.onnx --batch 1`
    """
    told = writing.write(workload, onnx, batch, size, seed)
    if json_:
        print_json(told)
        return
    ends = [" x ".join(map(str, told[end])) for end in ("input", "output")]
    print(f"wrote {told['path']}: {told['bytes'] / 1e6:.1f} MB, input {ends[0]}, output {ends[1]}")
