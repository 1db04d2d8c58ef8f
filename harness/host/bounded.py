"""A process that is given a time, and what it said.

`subprocess.run` waits without an end for one that it has killed, and a process that a driver does
not let go of never ends.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

GONE = 2.0  # seconds for one that was killed, to be gone


def run(
    command: Sequence[str | os.PathLike[str]],
    folder: Path,
    environment: Mapping[str, str],
    seconds: float | None,
) -> subprocess.CompletedProcess[str]:
    """Raises TimeoutExpired, with what it had said by then, in bytes."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    try:
        said, complained = process.communicate(timeout=seconds)
    except BaseException:
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GONE)
        raise
    finally:
        process.stdout.close()
        process.stderr.close()
    return subprocess.CompletedProcess(process.args, process.returncode, said, complained)
