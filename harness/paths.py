"""Where this project lies. Nothing is imported here: workers' environments have little."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_path() -> str:
    """This project first, then what the user has there: an adapter package of their own."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
