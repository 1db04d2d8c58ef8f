"""Claims about what the kernel keeps of a file that was just written."""

import ctypes
import mmap
import os
from pathlib import Path

import pytest

from harness.install import pagecache


def resident(path: Path) -> int:
    """How many pages of a file lie in memory: mincore(2)."""
    libc, size = ctypes.CDLL(None, use_errno=True), path.stat().st_size
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    pages = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
    with path.open("rb") as file:
        place = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        assert libc.mincore(place, size, pages) == 0
        libc.munmap(place, size)
    return sum(each[0] & 1 for each in pages)


def _in_memory_alone(folder: Path) -> bool:
    """Whether its file system is no disk's, and has nothing to forget."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(len(where), kind) for where, kind in mounts if folder.is_relative_to(where)]
    return max(holding)[1] in ("tmpfs", "ramfs")


def test_what_was_just_written_is_read_anew_if_it_is_large(tmp_path: Path) -> None:
    if _in_memory_alone(tmp_path):
        pytest.skip("nothing to forget: the folder is on no disk")
    large, small = tmp_path / "lib" / "large.so", tmp_path / "small.py"
    large.parent.mkdir()
    large.write_bytes(os.urandom(4 * pagecache.LARGE))
    small.write_bytes(os.urandom(pagecache.LARGE // 2))
    (tmp_path / "link").symlink_to("nowhere")
    before = {path: resident(path) for path in (large, small)}
    assert all(count * mmap.PAGESIZE == path.stat().st_size for path, count in before.items())
    pagecache.forget(tmp_path)
    assert resident(large) == 0 and resident(small) == before[small]
