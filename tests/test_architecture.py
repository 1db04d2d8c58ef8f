"""The folders stand in a line, without circles, and a worker needs NumPy alone.

    suites -> (algebra) <- adapters <- harness <- reports

Two places are exceptions, by name: `suites/conftest.py`, the pytest front, uses the harness;
`harness/commands/` calls `reports` inside its functions.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.core import discovery
from harness.install.environments import ROOT, python_of

OURS = ("adapters", "harness", "reports", "suites")
FRAMEWORKS = {
    "ai_edge_litert", "flax", "jax", "jaxlib", "keras", "mlx", "mxnet", "onnx", "onnxruntime",
    "openvino", "paddle", "tensorflow", "tinygrad", "torch", "torchvision", "triton",
}  # fmt: skip
FRONT = "suites/conftest.py"
COMMANDS = "harness/commands/"


@dataclass(frozen=True)
class Import:
    file: str  # relative to the project, as in "harness/cli.py"
    line: int
    module: str  # dotted, down to the file where it is ours
    at_top: bool  # done when the file is imported, rather than inside a function

    @property
    def root(self) -> str:
        return self.module.partition(".")[0]

    def within(self, *modules: str) -> bool:
        return any(f"{self.module}.".startswith(f"{module}.") for module in modules)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file, wherever in it."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            modules = [_file_of(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        name = path.relative_to(ROOT).as_posix()
        for module in modules:
            yield Import(name, node.lineno, module, id(node) not in inside)


def _file_of(module: str, name: str) -> str:
    """`from harness.worker import timing` imports the file, as does importing a name from it."""
    inner = ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if inner.with_suffix(".py").exists() or inner.is_dir() else module


def of(folder: str) -> list[Import]:
    found = [each for path in sources(folder) for each in imports(path)]
    assert found, f"nothing is imported anywhere in {folder}/: is it empty?"
    return found


def none_of(offences: list[Import]) -> None:
    assert not offences, "; ".join(map(str, offences))


def test_a_workload_knows_the_algebra_and_nothing_else() -> None:
    none_of(
        [
            each
            for each in of("suites")
            if each.file != FRONT
            and (each.root in OURS or each.root in FRAMEWORKS)
            and not each.within("suites", "adapters.core.algebra")
        ]
    )


def test_an_adapter_knows_the_core_and_no_other_adapter() -> None:
    none_of([e for e in of("adapters") if e.root in OURS and not e.within("adapters.core")])


def test_a_framework_is_imported_in_its_own_adapter_alone_and_only_once_it_is_used() -> None:
    own = {f"adapters/{name}.py": _declared(name) for name in discovery.names()}
    everywhere = [each for folder in OURS for each in of(folder) if each.root in FRAMEWORKS]
    none_of([e for e in everywhere if e.at_top or e.root not in own.get(e.file, ())])


def _declared(name: str) -> set[str]:
    return {module.partition(".")[0] for module in discovery.adapter_class(name).requires}


def test_an_adapter_file_imports_with_numpy_alone() -> None:
    none_of([e for e in of("adapters") if e.at_top and not _plain(e)])


def test_the_harness_reaches_adapters_by_name_and_never_a_report() -> None:
    reached = [e for e in of("harness") if e.within("adapters") and not e.within("adapters.core")]
    told = [e for e in of("harness") if e.within("reports")]
    none_of(reached + [e for e in told if not e.file.startswith(COMMANDS) or e.at_top])


def test_a_report_reads_records_and_nothing_else() -> None:
    readable = (
        "reports",
        "harness.record.records",
        "harness.stats",
        "harness.errors",
        "harness.toml",
        "harness.unseen",
    )
    none_of([e for e in of("reports") if e.root in OURS and not e.within(*readable)])


def test_the_harness_stands_in_a_line() -> None:
    """Each folder may import those before it, and itself; so does each file beside the folders."""
    line = [
        *("paths", "unseen", "errors", "durations", "disk", "toml"),  # the ground
        *("worker", "host", "install", "stats", "record", "plan", "process", "run"),
        *("check", "proof", "export", "setup", "doctor", "commands", "gpu_check", "cli"),
    ]
    none_of(_uphill("harness", line))


def _uphill(folder: str, line: list[str]) -> list[Import]:
    """Imports of what stands later in the line, which holds all that the folder does."""
    there = {path.relative_to(ROOT / folder).parts[0] for path in sources(folder)}
    assert {name.removesuffix(".py") for name in there} - {"__init__"} == set(line)
    place = {name: number for number, name in enumerate(line)}

    def of_file(each: Import) -> int:
        return place[each.file.removesuffix(".py").split("/")[1]]

    own = [each for each in of(folder) if each.within(folder)]
    return [each for each in own if place[each.module.split(".")[1]] > of_file(each)]


def test_the_reports_stand_in_a_line() -> None:
    line = [
        *("words", "analysis", "comparison", "choice", "charts", "trust", "verdicts", "runs"),
        *("terminal", "terminal_runs", "pages", "exports"),
    ]
    none_of(_uphill("reports", line))


def test_what_a_worker_imports_is_the_standard_library_and_numpy() -> None:
    """Followed from file to file, through every import anywhere in them, the front left out."""
    todo = [
        ROOT / "harness" / "worker" / "worker.py",
        *(p for p in sources("suites") if _is_worker_side(p)),
    ]
    todo += sources("adapters/core")
    seen: set[Path] = set()
    offences = []
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for each in imports(path):
            if each.root not in OURS:
                offences += [] if _plain(each) else [each]
            elif (file := ROOT.joinpath(*each.module.split(".")).with_suffix(".py")).exists():
                todo.append(file)
    none_of(offences)
    names = {path.relative_to(ROOT).as_posix() for path in seen}
    assert {f"harness/worker/{name}.py" for name in ("timing", "cell", "verify")} <= names
    assert not any(name.startswith("reports/") for name in names)


def _is_worker_side(path: Path) -> bool:
    return path.name != "conftest.py" and not path.name.startswith("test_")


def _plain(each: Import) -> bool:
    return each.root in sys.stdlib_module_names or each.root in (*OURS, "numpy")


def test_packages_say_nothing_when_they_are_imported() -> None:
    for folder in OURS:
        for path in (ROOT / folder).rglob("__init__.py"):
            assert path.read_text() == "", f"{path.relative_to(ROOT)} is not empty"


def test_a_worker_imports_where_there_is_numpy_alone() -> None:
    python = python_of("numpy", "cpu")
    if python is None:
        pytest.skip("the environment numpy-cpu is not made: `make env`")
    code = "import harness.worker.worker; harness.worker.worker._adapter_class('numpy')"
    subprocess.run([python, "-c", code], cwd=ROOT, check=True)


def test_an_import_inside_a_function_is_seen_and_told_from_one_at_the_top(tmp_path: Path) -> None:
    """The tests above see what they look for."""
    path = ROOT / "tests" / "test_architecture.py"
    found = {(each.module, each.at_top) for each in imports(path)}
    assert ("harness.install.environments", True) in found
    assert ("adapters.core.discovery", True) in found
    import harness.errors  # noqa: F401

    assert ("harness.errors", False) in found


def test_every_file_that_a_document_names_is_there() -> None:
    there = {f"/{path.relative_to(ROOT)}" for folder in OURS for path in (ROOT / folder).rglob("*")}
    there |= {f"/{path.relative_to(ROOT)}" for path in (ROOT / "tests").rglob("*.py")}
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]:
        for name in re.findall(r"`([a-z][a-z0-9_./-]*\.(?:py|toml|lua))`", page.read_text()):
            assert any(file.endswith(f"/{name}") for file in there), f"{page.name} names {name}"
