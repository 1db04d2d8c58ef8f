"""uv and pip: what they are given, what they say meanwhile, and what their last words mean.

uv where it is on PATH, else venv and pip; both are given the same requirements and, where
pip's variables name other places to look (a mirror, a folder of wheels), the same places.
What they print is read line by line: it is the progress, it tells whether packages came out
of the installer's cache, and where it fails it is turned into one line for a person.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from harness.paths import ROOT

TAIL_LINES = 20
# What a shell may have set that puts packages elsewhere, or takes those elsewhere for installed.
ELSEWHERE = ("PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")
# Where pip is told to look. A folder of wheels stands in for all of them.
PLACES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT")

Watch = Callable[[str], None]


class CannotInstall(Exception):
    """The first line of the message is the reason; the rest is what the installer said."""


@dataclass
class Output:
    """What an installer has said so far."""

    lines: list[str] = field(default_factory=list)

    @property
    def cache(self) -> str | None:
        """ "empty", "part" or "warm": whether packages came out of the installer's cache.

        uv tells how many it prepared (downloaded, unpacked) of those it installed, pip of
        each whether it downloaded it. None where neither said anything of the kind.
        """
        text = "\n".join(self.lines)
        installed = re.search(r"(?m)^Installed (\d+) package", text)
        if installed:
            prepared = re.search(r"(?m)^Prepared (\d+) package", text)
            fresh, all_ = int(prepared[1]) if prepared else 0, int(installed[1])
        else:
            fresh = len(re.findall(r"(?m)^Downloading \S+\.(?:whl|tar\.gz)(?=\s|$)", text))
            all_ = fresh + len(re.findall(r"(?m)^Using cached \S+\.(?:whl|tar\.gz)(?=\s|$)", text))
        if not all_:
            return None
        return "warm" if fresh == 0 else "empty" if fresh >= all_ else "part"


def install(
    folder: Path, arguments: Iterable[str], wheels: Path | None, watch: Watch
) -> tuple[str, str | None]:
    """Makes an environment in `folder` -> (the installer and its version, its cache's state).

    Every module is compiled to byte code: else the first start that imports one pays for that,
    and every start where PYTHONDONTWRITEBYTECODE is set, as containers have it.
    `wheels`: a folder from which alone to install, without a network. Raises CannotInstall.
    """
    output = Output()
    environment = {k: v for k, v in os.environ.items() if k not in ELSEWHERE}
    offline: list[str] = []
    if wheels is not None:
        offline = ["--no-index", "--find-links", str(wheels)]
        environment = {k: v for k, v in environment.items() if k not in PLACES}
        environment["PIP_CONFIG_FILE"] = os.devnull

    def call(*command: str) -> None:
        try:
            _call([*command], environment, output, watch)
        except CannotInstall as error:
            if wheels is None:
                raise
            raise CannotInstall(f"from {wheels} alone: {error}") from None

    uv = shutil.which("uv")
    if uv:
        call(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
        python = ["--python", str(folder / "bin" / "python")]
        places = offline or as_pip_is_told(environment)
        told = ["--no-progress", "--compile-bytecode"]
        call(uv, "pip", "install", *told, *python, *places, *arguments)
        return _version([uv, "--version"]), output.cache
    venv = [sys.executable, "-m", "venv"]
    if _has_pip():  # its own pip would take longer to install than NumPy
        call(*venv, "--without-pip", str(folder))
        pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    elif importlib.util.find_spec("ensurepip") is not None:
        call(*venv, str(folder))
        pip = [str(folder / "bin" / "python"), "-m", "pip"]
    else:
        raise CannotInstall(
            "this Python cannot make environments (no ensurepip): "
            "on Debian and Ubuntu, `apt-get install python3-venv`; or install uv"
        )
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    call(*pip, "install", *quiet, *offline, *arguments)
    return _version([*pip, "--version"]), output.cache


def _has_pip() -> bool:
    """Whether this Python's own pip can install into another environment (22.3 and later)."""
    if importlib.util.find_spec("pip") is None:
        return False
    major, minor = re.findall(r"\d+", f"{metadata.version('pip')}.0")[:2]
    return (int(major), int(minor)) >= (22, 3)


def as_pip_is_told(environment: Mapping[str, str]) -> list[str]:
    """uv's options for what pip's variables say: uv reads none of them.

    An extra index is searched as pip does, for the best version anywhere: uv would else take
    a package from the first index that has any version of it.
    """
    words: list[str] = []
    for variable, option in (
        ("PIP_FIND_LINKS", "--find-links"),
        ("PIP_INDEX_URL", "--default-index"),
        ("PIP_EXTRA_INDEX_URL", "--index"),
        ("PIP_CONSTRAINT", "--constraint"),
    ):
        for value in environment.get(variable, "").split():
            words += [option, value]
    if "--index" in words:
        words += ["--index-strategy", "unsafe-best-match"]
    return words


_running: set[subprocess.Popen[str]] = set()
_stopped = threading.Event()


def begin() -> None:
    """What was stopped before is forgotten."""
    _stopped.clear()


def stop() -> None:
    """Ends what installs now, and what would next: a signal to this process reaches none of it."""
    _stopped.set()
    for process in [*_running]:
        process.terminate()


def _call(command: list[str], environment: dict[str, str], output: Output, watch: Watch) -> None:
    """Runs one command, its lines to `watch` as they come. Raises CannotInstall."""
    if _stopped.is_set():
        raise CannotInstall("interrupted")
    began = len(output.lines)
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        _running.add(process)
        if _stopped.is_set():  # since it was asked
            process.terminate()
        try:
            for line in map(str.strip, process.stdout):
                if line:
                    output.lines.append(line)
                    watch(line)
        finally:
            _running.discard(process)
    if process.returncode:
        lines = output.lines[began:]
        raise CannotInstall("\n".join([reason(lines, process.returncode), *lines[-TAIL_LINES:]]))


def reason(lines: list[str], status: int) -> str:
    """One line for a person out of an installer's last words."""
    text = " ".join(lines)
    if re.search(r"(?i)no space left on device|os error 28\b|errno 28\b", text):
        return "the disk is full (no space left on device): make room, then run setup again"
    if re.search(r"(?i)certificate.verify.failed|unknownissuer|invalid peer certificate", text):
        return (
            "the package index's certificate is not trusted here: name a file with your network's "
            "own authority in SSL_CERT_FILE (uv) or PIP_CERT (pip), or give wheels with --wheels"
        )
    if re.search(r"(?i)proxy auth(?:entication|orization) required|failed: 407|\b407 proxy", text):
        return (
            "the proxy wants a name and a password: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT "
            "gives them; or give a folder of wheels with --wheels"
        )
    if re.search(
        r"(?i)name resolution|name or service not known|network is unreachable|newconnection"
        r"|failed to establish a new connection|dns error|error sending request"
        r"|connection (?:refused|reset|timed out)|connecttimeout|max retries exceeded",
        text,
    ):
        return (
            "the package index cannot be reached: mend the network, or give a folder of wheels "
            "with --wheels"
        )
    missing = re.search(
        r"requirement (?P<pip>\S+)[^(]*\(from versions: (?P<versions>[^)]*)\)"
        r"|there (?:is|are) no versions? of (?P<uv>[^\s,]+)"
        r"|only .{1,400} available and you require (?P<wanted>[^\s,]+)"
        r"|Because (?P<unknown>[\w.\[\]-]+) was not found",
        text,
    )
    if missing:
        name = next(missing[key] for key in ("pip", "uv", "wanted", "unknown") if missing[key])
        known = [v for v in (missing["versions"] or "").split(", ") if v not in ("", "none")]
        there = f"; the latest are {', '.join(known[-4:])}" if known else ""
        return f"there is no {name} for this Python and machine, where it was looked for{there}"
    unfit = re.search(r"No solution found.*?(Because .*)", text)
    if unfit:
        return f"no versions fit together: {unfit[1]}"
    errors = [line for line in lines if re.match(r"(?i)error", line)]
    return (errors or lines or [f"exit status {status}"])[-1]


def _version(command: list[str]) -> str:
    """ "uv 0.9.7", "pip 24.0"."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    except OSError:
        said = []
    return " ".join(said[:2]) or Path(command[0]).name
