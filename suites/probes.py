"""Two loads that find a machine's roofs: a matrix product, and a stream through memory.

They are measured once a contender before anything else, and ranked by nobody. The small
pair suits processors (64 MiB in, 64 MiB out: past most caches), the large one GPUs: a product
of some milliseconds, and 256 MiB in and out, past any L2. No larger, since each contender is
given its values anew: the host draws 10 million of them in a tenth of a second.

In bfloat16 and float16 the product's features are placed low, as images are. Its matrix is a
parameter, so float32, and cast within the timed call: of the large one that reads 64 MiB and
writes 32, about a tenth of the call at 4.8 TB/s and 800 Tflop/s. So the roof is that much too low
there. To place it low it would have to be no parameter, which the algebra has no word for.
"""

from typing import Any

from suites.workload import Workload, add

SIZES = {"small": (2048, 16), "large": (4096, 64)}


def _matmul(width: int) -> Workload:
    def product(net: Any, x: Any) -> Any:
        return net.linear("product", x, width, bias=False)

    size = f"{width} x {width} x {width}"
    return Workload("", "probe", product, (width,), width, f"Matrix product {size}")


def _stream(batch: int) -> Workload:
    def relu(net: Any, x: Any) -> Any:
        return net.relu(x)

    return Workload("", "probe", relu, (64, 128, 128), batch, "ReLU past the caches")


for _size, (_width, _batch) in SIZES.items():
    for _kind, _made in (("matmul", _matmul(_width)), ("stream", _stream(_batch))):
        add(Workload(**{**_made.__dict__, "name": f"probe_{_kind}_{_size}"}))
