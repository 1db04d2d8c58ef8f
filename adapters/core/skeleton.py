"""A new adapter's file, to be filled in: every operation and verb with its docstring.

Taken from `algebra.py` and `base.py` themselves, so it can never fall out of step.
"""

import inspect
import textwrap
from typing import Any

from adapters.core.algebra import Operations
from adapters.core.base import Adapter

MANIFEST = """return {{
        "framework": "{name}",
        # Who may be ranked with whom is read from what follows: say what really ran.
        "conv_precision": self.precision,
        "matmul_precision": self.precision,
        "tf32_conv": False,
        "tf32_matmul": False,
        "threads": self.threads,
    }}"""

VERBS = ("place", "dump", "clone", "zeros_like", "infer", "gradients", "train")

HEAD = '''"""{title}: say here what a reader must know of it, such as its layout in memory.

`bakeoff check {name}` tells what to write or mend next.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.core.algebra import Pair
from adapters.core.algebra import Tensor as T
from adapters.core.base import Adapter, State, Unsupported, Variant
from adapters.core.network import Network  # Network(self, params).run(workload, x)


class {title}(Adapter):
    """Say here how images and kernels lie in memory."""

    requires = ()  # modules that must be importable, as in ("{name}",)
    distributions = ()  # the installed packages that tell its version, as in ("{name}",)
    # The environment it lives in: adapters/requirements/{name}-cpu.txt makes one of its own;
    # an adapter that needs no more than another's can share that: environment = "numpy".
    environment = ""
    variants = {{"": Variant("as it is", {{}})}}  # the ways to run it; "" is the default
    # False for an inference engine: then `zeros_like`, `gradients` and `train` can go
    trains = True

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        """Settle the threads and the precision, and import the framework: never at the top."""
        super().__init__(variant, device, precision, threads)
        if device != "cpu":
            raise Unsupported("{name} computes on the CPU alone")  # or make it compute there
'''


def source(name: str) -> str:
    """The text of `adapters/NAME.py`."""
    title = "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").split("_"))
    parts = [HEAD.format(name=name, title=title), _banner("the algebra")]
    parts += [_method(getattr(Operations, each)) for each in _operations()]
    parts.append(_banner("arrays, and what is timed"))
    parts += [_method(getattr(Adapter, each)) for each in VERBS]
    parts.append(_banner("the rest"))
    parts.append(_method(Adapter.sync, "pass  # right where a call returns when it is done"))
    parts.append(_method(Adapter.manifest, MANIFEST.format(name=name)))
    return "\n".join(parts)


def _operations() -> list[str]:
    return [name for name in vars(Operations) if not name.startswith("_")]


def _banner(title: str) -> str:
    return f"    # --- {title} ".ljust(90, "-") + "\n"


def _method(function: Any, body: str | None = None) -> str:
    """Signature and docstring as they stand in the core; a body that says what is missing."""
    text = textwrap.dedent(inspect.getsource(function)).rstrip()
    for ending in ("...", "raise NotImplementedError"):
        text = text.removesuffix(ending).rstrip()
    if text.endswith("}"):  # a default of the base class
        text = text[: text.rindex("\n")]
    body = body or f'raise NotImplementedError("{function.__name__}")'
    text = text.replace("Tensor", "T").replace("-> Array", "-> Any").replace(": Array", ": Any")
    text = text.replace("Array", "Any")
    return textwrap.indent(f"{text}\n    {body}\n", "    ")
