"""What several tests share: a small project of their own, which they may break."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import adapters
from adapters.core import discovery
from harness import environments, inventory, processes

ADAPTER = """
from adapters.core.base import Adapter, Variant

class Fake(Adapter):
    distributions = ("tiny",)
    variants = {"": Variant("as it is", {}), "fast": Variant("faster", {})}
"""

Put = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with no adapter, no requirements and no environment, seen by all of ours."""
    folder = tmp_path / "adapters"
    shutil.copytree(environments.ROOT / "adapters" / "core", folder / "core")
    (folder / "__init__.py").touch()
    (folder / "requirements").mkdir()
    for module in (environments, inventory, processes):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "REQUIREMENTS", folder / "requirements")
    monkeypatch.setattr(discovery, "FOLDER", folder)
    monkeypatch.setattr(adapters, "__path__", [str(folder)])
    return tmp_path


@pytest.fixture
def put_adapter(project: Path) -> Iterator[Put]:
    """`put_adapter("fake", requirements="tiny==1")` adds an adapter to the project."""
    added = []

    def put(name: str, text: str = ADAPTER, requirements: str | None = "") -> Path:
        path = project / "adapters" / f"{name}.py"
        path.write_text(text)
        if requirements is not None:
            (path.parent / "requirements" / f"{name}-cpu.txt").write_text(requirements)
        added.append(name)
        return path

    yield put
    for name in added:
        sys.modules.pop(f"adapters.{name}", None)
