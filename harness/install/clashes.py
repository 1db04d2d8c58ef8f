"""Libraries that are not what their package put there: whose they were, and who overwrote them.

CUDA's libraries come in several packages (nvidia-cudnn-cu12, nvidia-cudnn-cu13) that hold
the same paths. pip installs both without complaint, the later one wins, and the earlier one's
framework runs with a library it was not built for; removing either takes the file away
from both. Every package's RECORD says which files it brought, how long each is and what its
hash is. So: a path that two packages claim in different forms is a clash, and what lies on
the disk tells who won; a path that one package claims must still be there, of that length.

Only libraries are looked at, sizes come before hashes, and a file is hashed only where two
packages claim it at the same size: an environment of ten thousand files takes a fraction of
a second.
"""

import base64
import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LIBRARY = re.compile(r"\.so(\.\d+)*$|^nvidia/.*\.\w+$")


@dataclass(frozen=True)
class Claim:
    """What one package says of one file."""

    package: str  # with its version
    hash: str  # as RECORD has it: sha256=...
    size: int


@dataclass(frozen=True)
class Clash:
    """One package's libraries that were overwritten by another's, or are gone."""

    owner: str
    by: str | None  # None: no package that left a record
    gone: bool
    paths: tuple[str, ...]

    def __str__(self) -> str:
        number = f"{len(self.paths)} librar{'y' if len(self.paths) == 1 else 'ies'} of {self.owner}"
        was = "was" if len(self.paths) == 1 else "were"
        by = self.by or "something that left no record"
        what = f"{was} removed" if self.gone else f"{was} overwritten by {by}"
        return f"{number} {what}: {self.paths[0]}{' ...' if len(self.paths) > 1 else ''}"


def find(packages: Path) -> list[Clash]:
    """The clashes in a site-packages folder, by owner and who overwrote it."""
    claims: dict[str, list[Claim]] = defaultdict(list)
    for record in sorted(packages.glob("*.dist-info/RECORD")):
        for path, claim in _claims(record):
            claims[path].append(claim)
    found: dict[tuple[str, str | None, bool], list[str]] = defaultdict(list)
    for path, claimants in claims.items():
        for owner, by, gone in _disputed(packages / path, claimants):
            found[owner, by, gone].append(path)
    return [Clash(*key, tuple(sorted(paths))) for key, paths in sorted(found.items(), key=str)]


def _claims(record: Path) -> Iterator[tuple[str, Claim]]:
    """The libraries that a package says it brought."""
    package = " ".join(record.parent.name.removesuffix(".dist-info").split("-")[:2])
    try:
        with record.open(newline="", encoding="utf-8") as lines:
            for path, digest, size in csv.reader(lines):
                if digest.startswith("sha") and size.isdigit() and LIBRARY.search(path):
                    yield path, Claim(package.replace("_", "-"), digest, int(size))
    except (OSError, ValueError, csv.Error):
        return  # not a record: nothing can be said of that package


def _disputed(file: Path, claims: list[Claim]) -> Iterator[tuple[str, str | None, bool]]:
    """(owner, who overwrote it, whether it is gone) for each claim that the disk denies."""
    try:
        size = file.stat().st_size
    except OSError:
        yield from ((claim.package, None, True) for claim in claims)
        return
    right = [claim for claim in claims if claim.size == size]
    if len({claim.hash for claim in right}) > 1:
        right = [claim for claim in right if claim.hash == _hash(file, claim.hash)]
    for claim in claims:
        if claim not in right:
            yield claim.package, right[0].package if right else None, False


def _hash(file: Path, like: str) -> str:
    """A file's, in the form of RECORD: by the same algorithm, in base 64 without padding."""
    algorithm = like.partition("=")[0]
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, algorithm).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
