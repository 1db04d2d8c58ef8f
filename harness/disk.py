"""Files that are whole or not there, whatever ends a process or a machine. Needs the standard
library alone: an environment's stamp is one, as well as a run's documents."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, text: bytes) -> None:
    """All of it, or none: a full disk leaves no half of one, and a power cut neither."""
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Its files' names outlast a power cut from here on, too: what lies in them alone is lost."""
    file = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system that cannot
            os.fsync(file)
    finally:
        os.close(file)
