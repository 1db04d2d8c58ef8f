"""Where this project lies, and its runs. Workers' environments have little: it needs only the
standard library."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_path() -> str:
    """This project first, then what the user has there: an adapter package of their own."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def results() -> Path:
    """Where runs lie: from the root, since workers are started in another folder than we are."""
    # Set to nothing it is not set: runs would lie wherever one happens to be.
    return Path(os.environ.get("BAKEOFF_RESULTS") or ROOT / "results").absolute()
