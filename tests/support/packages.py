"""Packages of a few files, installed without a network."""

import base64
import hashlib
import zipfile
from pathlib import Path
from typing import Any

from harness import setup


def record_line(path: str, content: bytes) -> str:
    """What a package's RECORD says of a file."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"{path},sha256={digest.decode()},{len(content)}\n"


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """A wheel of a few files, so that a test installs something and needs no network."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    files = files | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(record_line(place, text.encode()) for place, text in files.items())
    files[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for place, text in files.items():
            wheel.writestr(place, text)
    return path


def failed(adapters: list[str], **options: Any) -> list[str]:
    """The names of what could not be made on a CPU."""
    return setup.failures(setup.make(adapters, "cpu", **options))
