"""Claims about the installers: their last words become one line, their places are the same."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from harness.install import installers
from harness.install.installers import CannotInstall, Output
from harness.install.installing import Installing

# What pip 23 and uv 0.13 said, shortened (a full disk: as their sources have it).
PIP_OFFLINE = """
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<pip._vendor.
urllib3.connection.HTTPConnection object>: Failed to establish a new connection: [Errno 111]
Connection refused')': /simple/tiny/
ERROR: Could not find a version that satisfies the requirement tiny==1 (from versions: none)
ERROR: No matching distribution found for tiny==1
"""
UV_OFFLINE = """
error: Request failed after 3 retries in 12.2s
cause: Failed to fetch: http://127.0.0.1:9/simple/numpy/
cause: error sending request for url (http://127.0.0.1:9/simple/numpy/)
cause: client error (Connect)
"""
PIP_VERSION = """
ERROR: Ignored the following versions that require a different python version: 2.0 Requires ...
ERROR: Could not find a version that satisfies the requirement torch==9.* (from versions: 2.9, 2.12)
ERROR: No matching distribution found for torch==9.*
"""
UV_VERSION = """
error: No solution found when resolving dependencies
cause: Because only numpy<=2.5.5 is available and you require numpy==99.9.*, we can conclude that
your requirements are unsatisfiable.
"""
UV_WHEELS = """
error: No solution found when resolving dependencies
cause: Because there is no version of tiny==9 and you require tiny==9, we can conclude that your
requirements are unsatisfiable.
"""
UV_NAME = """
error: No solution found when resolving dependencies
cause: Because tinny was not found in the provided package locations and you require tinny==1, we
can conclude that your requirements are unsatisfiable.
"""
UV_UNFIT = """
error: No solution found when resolving dependencies
cause: Because jax==0.10.2 depends on numpy>=2.0 and you require numpy==1.26, we can conclude that
jax==0.10.2 cannot be used.
"""
PIP_CERTIFICATE = """
Could not fetch URL https://pypi.org/simple/tiny/: There was a problem confirming the ssl
certificate: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded with url:
/simple/tiny/ (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]
certificate verify failed: self-signed certificate in certificate chain (_ssl.c:1007)'))) - skipping
ERROR: Could not find a version that satisfies the requirement tiny==1 (from versions: none)
"""
UV_CERTIFICATE = """
error: Failed to fetch: `https://pypi.org/simple/tiny/`
Caused by: error sending request for url (https://pypi.org/simple/tiny/)
Caused by: client error (Connect)
Caused by: invalid peer certificate: UnknownIssuer
"""
PIP_PROXY = """
WARNING: Retrying (Retry(total=0)) after connection broken by 'ProxyError('Cannot connect to
proxy.', OSError('Tunnel connection failed: 407 Proxy Authentication Required'))': /simple/tiny/
ERROR: Could not find a version that satisfies the requirement tiny==1 (from versions: none)
"""
UV_PROXY = """
Caused by: error sending request for url (https://pypi.org/simple/tiny/)
Caused by: client error (Connect)
Caused by: tunnel error: proxy authorization required
"""
PIP_DISK = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
UV_DISK = "error: Failed to install: torch\nCaused by: No space left on device (os error 28)"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (PIP_OFFLINE, "the package index cannot be reached: mend"),
        (UV_OFFLINE, "give a folder of wheels with --wheels"),
        (PIP_CERTIFICATE, "own authority in SSL_CERT_FILE (uv) or PIP_CERT (pip)"),
        (UV_CERTIFICATE, "certificate is not trusted here"),
        (PIP_PROXY, "the proxy wants a name and a password"),
        (UV_PROXY, "HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"),
        (PIP_VERSION, "there is no torch==9.* for this Python and machine, where it was looked "
         "for; the latest are 2.9, 2.12"),
        (UV_VERSION, "there is no numpy==99.9.* for this Python"),
        (UV_WHEELS, "there is no tiny==9 for this Python"),
        (UV_UNFIT, "no versions fit together: Because jax==0.10.2 depends on numpy>=2.0"),
        (UV_NAME, "there is no tinny for this Python"),
        (PIP_DISK, "the disk is full"),
        (UV_DISK, "the disk is full"),
        ("something\nERROR: Invalid requirement: 'a b'\nmore", "ERROR: Invalid requirement: 'a b'"),
        ("it went wrong", "it went wrong"),
        ("", "exit status 3"),
    ],
)  # fmt: skip
def test_last_words_become_one_line(said: str, words: str) -> None:
    line = installers.reason(said.strip().splitlines(), 3)
    assert words in line and "\n" not in line


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (["Resolved 2 packages in 1ms", "Installed 2 packages in 2ms"], "warm"),
        (["Prepared 2 packages in 1s", "Installed 2 packages in 2ms"], "empty"),
        (["Prepared 1 package in 1s", "Installed 2 packages in 2ms"], "part"),
        (["Downloading a-1-py3-none-any.whl (3 kB)", "Using cached b-1.whl (1 kB)"], "part"),
        (["Downloading a-1-py3-none-any.whl.metadata (3 kB)", "Using cached b-1.whl"], "warm"),
        (["Downloading a-1-py3-none-any.whl (3 kB)"], "empty"),
        (["Processing ./a-1-py3-none-any.whl"], None),
    ],
)
def test_whether_packages_came_out_of_a_cache_is_told(said: list[str], state: str | None) -> None:
    assert Output(said).cache == state


def test_uv_looks_where_pip_is_told_to_and_as_pip_does() -> None:
    told = {"PIP_FIND_LINKS": "/a /b", "PIP_INDEX_URL": "I", "PIP_EXTRA_INDEX_URL": "X"}
    assert installers.as_pip_is_told(told) == [
        "--find-links", "/a", "--find-links", "/b", "--default-index", "I", "--index", "X",
        "--index-strategy", "unsafe-best-match",
    ]  # fmt: skip
    assert installers.as_pip_is_told({}) == []


def test_an_installer_s_lines_are_heard_as_they_come(tmp_path: Path) -> None:
    heard: list[str] = []
    output = Output()
    code = "print('one\\n\\ntwo'); import sys; sys.exit('ERROR: three')"
    with pytest.raises(CannotInstall, match=r"^ERROR: three\n"):
        installers._call([sys.executable, "-c", code], {}, output, heard.append)
    assert heard == output.lines and set(heard) == {"one", "two", "ERROR: three"}


def test_a_person_sees_what_is_installed_meanwhile_and_a_log_only_what_ended() -> None:
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=80)
        with Installing(console) as say:
            say("torch-cpu", "installing", "")
            say("torch-cpu", "step", "Downloading torch (180.0MiB)")
            say.live.refresh()
            say("torch-cpu", "installed", "in 26 s by uv")
        assert ("Downloading torch" in out.getvalue()) == terminal
        assert "torch-cpu: installed in 26 s by uv" in out.getvalue()
