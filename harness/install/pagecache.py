"""Has the kernel forget the pages of files that were just written, so that they are read anew.

What was written just now lies in the page cache in large pieces, of which a process maps more at
each fault than of what was read from the disk: TensorFlow, imported in the minutes after its
installation, had 410 MB of files resident, and 314 once they had been forgotten and read again
(Linux 6.18). Nobody's framework takes less memory for having been installed the day before.
"""

import os
from contextlib import suppress
from pathlib import Path

LARGE = 1 << 20  # bytes: what is mapped, libraries above all; the rest weighs nothing


def forget(folder: Path) -> None:
    """Of the large files under `folder`; where a file system does not do that, nothing happens."""
    for root, _, names in os.walk(folder):
        for path in (Path(root, name) for name in names):
            with suppress(OSError):
                if path.is_symlink() or path.stat().st_size < LARGE:
                    continue
                file = os.open(path, os.O_RDONLY)
                try:
                    os.fdatasync(file)  # what is not on the disk yet stays
                    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(file)
