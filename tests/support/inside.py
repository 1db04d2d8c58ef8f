"""An adapter's own environment, as tests enter it; where it is not made they are skipped."""

import os
import subprocess
from pathlib import Path

import pytest

from adapters.core import discovery
from harness.install import environments
from harness.paths import ROOT


def python_of(adapter: str, variant: str = "") -> Path:
    """Its Python, on a CPU."""
    python = environments.python_of(adapter, "cpu", variant=variant)
    if python is None:
        pytest.skip(environments.why_absent(adapter, "cpu", variant=variant))
    return python


def skip_without_compiler(adapter: str, variant: str) -> None:
    """Where the system lacks what torch.compile needs of it."""
    reason = discovery.adapter_class(adapter).missing(variant) if variant == "compile" else None
    if reason and "not installed" not in reason:
        pytest.skip(reason)


def run(adapter: str, code: str, **variables: str) -> str:
    """What that code prints there; it must not fail."""
    command = [str(python_of(adapter)), "-c", code]
    variables = {**os.environ, **variables}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
