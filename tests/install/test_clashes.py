"""Claims about overwritten libraries: each is found, with whose it was and who overwrote it."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.install import clashes
from tests.support.packages import make_wheel, record_line

CUDNN = "nvidia/cudnn/lib/libcudnn.so.9"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """`install("a", {path: content})` puts a package there as pip does: over what is there."""

    def put(package: str, files: dict[str, bytes]) -> None:
        record = tmp_path / f"{package}-1.0.dist-info" / "RECORD"
        record.parent.mkdir()
        lines = []
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
            lines.append(record_line(path, content))
        record.write_text("".join([*lines, f"{record.parent.name}/RECORD,,\n"]))

    return put


def found(folder: Path) -> list[tuple[str, str | None, tuple[str, ...]]]:
    return [(clash.owner, clash.by, clash.paths) for clash in clashes.find(folder)]


def test_packages_that_share_nothing_or_the_same_file_do_not_clash(
    tmp_path: Path, install: Install
) -> None:
    install("a", {"nvidia/__init__.py": b"", CUDNN: b"nine"})
    install("b", {"nvidia/__init__.py": b"", "nvidia/nccl/lib/libnccl.so.2": b"two"})
    install("c", {CUDNN: b"nine"})
    assert found(tmp_path) == []


@pytest.mark.parametrize("later", [b"of another length", b"EINE"], ids=["longer", "as long"])
def test_the_later_package_is_named_as_who_overwrote_the_earlier_one_s(
    tmp_path: Path, install: Install, later: bytes
) -> None:
    install("nvidia_cudnn_cu12", {CUDNN: b"nine", "nvidia/cudnn/include/cudnn.h": b"#9"})
    install("nvidia_cudnn_cu13", {CUDNN: later, "nvidia/cudnn/include/cudnn.h": b"#X"})
    paths = ("nvidia/cudnn/include/cudnn.h", CUDNN)
    assert found(tmp_path) == [("nvidia-cudnn-cu12 1.0", "nvidia-cudnn-cu13 1.0", paths)]
    text = str(clashes.find(tmp_path)[0])
    assert text.startswith("2 libraries of nvidia-cudnn-cu12 1.0 were overwritten by nvidia-cudnn-")


def test_a_file_that_nobody_recorded_overwrites_too(tmp_path: Path, install: Install) -> None:
    install("a", {CUDNN: b"nine"})
    (tmp_path / CUDNN).write_bytes(b"copied by hand")
    assert found(tmp_path) == [("a 1.0", None, (CUDNN,))]


def test_a_library_that_went_with_another_package_is_told(tmp_path: Path, install: Install) -> None:
    install("a", {CUDNN: b"nine"})
    (tmp_path / CUDNN).unlink()
    [clash] = clashes.find(tmp_path)
    assert clash.gone and str(clash) == f"1 library of a 1.0 was removed: {CUDNN}"


def test_what_is_no_library_is_not_looked_at(tmp_path: Path, install: Install) -> None:
    install("a", {"bin/tool": b"one", "some/module.py": b"one", "notes.so.txt": b"one"})
    install("b", {"bin/tool": b"two!", "some/module.py": b"two!", "notes.so.txt": b"two!"})
    assert found(tmp_path) == []


def test_a_record_that_cannot_be_read_hides_no_other(tmp_path: Path, install: Install) -> None:
    install("a", {CUDNN: b"nine"})
    install("b", {CUDNN: b"NINE"})
    (tmp_path / "c-1.0.dist-info").mkdir()
    (tmp_path / "c-1.0.dist-info" / "RECORD").write_bytes(b"\xff\xfe\x00,,\n")
    assert [clash.owner for clash in clashes.find(tmp_path)] == ["a 1.0"]


def test_only_what_two_packages_claim_at_one_size_is_hashed(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that gigabytes of libraries take no time."""
    install("a", {f"big/lib{n}.so": b"x" * n for n in range(1, 3000)} | {CUDNN: b"nine"})
    install("b", {CUDNN: b"NINE", "big/lib7.so": b"short"})
    hashed = []
    plain = clashes._hash
    monkeypatch.setattr(
        clashes, "_hash", lambda file, like: hashed.append(file) or plain(file, like)
    )
    begin = time.monotonic()
    assert {owner for owner, _, _ in found(tmp_path)} == {"a 1.0"}
    assert set(hashed) == {tmp_path / CUDNN}
    assert time.monotonic() - begin < 2


def test_pip_installs_a_clash_without_complaint_and_it_is_found(tmp_path: Path) -> None:
    """Two real wheels, by the real pip."""
    for name, text in (("alpha", "first"), ("beta", "second")):
        wheel = make_wheel(tmp_path, name, "1", {CUDNN: text})
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        there = ["--ignore-installed", "--prefix", tmp_path / "there", wheel]
        done = subprocess.run([*command, *there], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    [packages] = (tmp_path / "there").glob("**/site-packages")
    assert found(packages) == [("alpha 1", "beta 1", (CUDNN,))]
