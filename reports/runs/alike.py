"""What is not alike beside the figures of two runs: versions, packages, code, settings, machine.

Of whom nothing is unlike, whatever moved it is the machine's doing: see `same`.
"""

from collections.abc import Callable
from typing import Any

from harness.record.records import Run
from reports.runs import several
from reports.words import plain, size

MACHINE = (
    "cpu",
    "instructions",
    "cores_physical",
    "governor",
    "turbo",
    "os",
    "kernel",
    "hypervisor",
    "preloaded",
)
SETTINGS = ("threads", "allocator", "device", "python", "cpus")
# Of a manifest: told as the version, or a count of what this run happened to do.
APART = ("version", "compilations", "autotuned")
THREADS = ("threads", "cpus")  # what each comparison has its own of, in a run of several numbers
SHOWN = 6  # packages; of a new CUDA two dozen are new
GONE = "-"


def differences(old: Run, new: Run) -> list[str]:
    """A line for each, for a person: the versions first, the machine last."""
    before, after = old.versions, new.versions
    names = _names(old, new)
    versions = {name: _told(before[name], after[name]) for name in names}
    found = [f"{name}: {told}" for name, told in versions.items() if told]
    parts = {name: _ran(old, new, name) for name in names}
    found += _grouped(parts, names, lambda name: name, "{} ran with")
    packages = {name: _packages(_held(old, name), _held(new, name)) for name in names}
    found += _grouped(packages, names, lambda name: _home(new, name), "packages of {}:")
    sizes = {name: _told(_size(old, name), _size(new, name)) for name in names}
    found += _grouped(sizes, names, lambda name: _home(new, name), "installed size of {}:")
    hosts = [
        run.plan.get("fingerprint", {}).get("machine", "").partition(" ")[0] for run in (old, new)
    ]
    if all(hosts) and hosts[0] != hosts[1]:  # told alone: each container has a name of its own
        found.append(f"the machine's name: {_told(*hosts)}")
    found += _coded(old, new, names)
    found += [
        f"{work}: other operations under that name, so it is not compared"
        for work in several.changed_work([old, new])
    ]
    return [*found, *around(old, new)]


def same(old: Run, new: Run) -> set[str]:
    """Contenders of which all that is recorded is the same, and so is all around them.

    Nobody of whose code here nothing is known, or whose packages nobody wrote down (`--python
    current`, a compiler of the system): it may have been built anew.
    """
    return {
        name
        for name in unchanged(old, new)
        if _code(old, name) and _held(old, name) and _home(old, name) != "current"
    }


def unchanged(old: Run, new: Run) -> set[str]:
    """Contenders of which no change is recorded; none where something around them changed."""
    if around(old, new):
        return set()
    before, after = old.versions, new.versions
    return {
        name
        for name in _names(old, new)
        if before[name] == after[name]
        and _code(old, name) == _code(new, name)
        and not _ran(old, new, name)
        and _held(old, name) == _held(new, name)
        and _home(old, name) == _home(new, name)
    }


def _names(old: Run, new: Run) -> list[str]:
    """Those of both runs, without twins."""
    return sorted(old.versions.keys() & new.versions.keys() - _twins(old, new))


def _twins(*runs: Run) -> set[str]:
    return {c["name"] for run in runs for c in run.plan["contenders"] if "#" in c["name"]}


def _grouped(
    told: dict[str, str], names: list[str], home: Callable[[str], str], heading: str
) -> list[str]:
    """What is said of several in the same words is said once."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if told[name]:
            groups.setdefault(told[name], []).append(home(name))
    return [
        f"{heading.format(', '.join(dict.fromkeys(who)))} {text}" for text, who in groups.items()
    ]


def _told(old: Any, new: Any) -> str:
    return "" if old == new else f"{plain(old)} → {plain(new)}"


def _parts(old: dict[str, Any], new: dict[str, Any]) -> str:
    keys = [key for key in dict.fromkeys([*old, *new]) if key not in APART]
    told = {key: _told(old.get(key), new.get(key)) for key in keys}
    return ", ".join(f"{key.replace('_', ' ')} {text}" for key, text in told.items() if text)


def _packages(old: dict[str, str], new: dict[str, str]) -> str:
    if not old or not new:
        return ""
    changed = [
        f"{name} {old.get(name, GONE)} → {new.get(name, GONE)}"
        for name in sorted(old.keys() | new.keys(), key=lambda n: (n not in old or n not in new, n))
        if old.get(name) != new.get(name)
    ]
    more = len(changed) - SHOWN
    return ", ".join(changed[:SHOWN]) + (f", and {more} more" if more > 0 else "")


def _seen(run: Run, name: str) -> dict[str, Any]:
    return run.environment.get("contenders", {}).get(name) or {}


def _manifest(run: Run, name: str) -> dict[str, Any]:
    return _seen(run, name).get("manifest") or {}


def _ran(old: Run, new: Run, name: str) -> str:
    """What it ran with and did not before. It is greeted with a run's most threads."""
    apart = THREADS if _several_threads(old, new) else ()
    before, after = (
        {key: value for key, value in _manifest(run, name).items() if key not in apart}
        for run in (old, new)
    )
    return _parts(before, after)


def _home(run: Run, name: str) -> str:
    return (_seen(run, name).get("environment") or {}).get("name") or "current"


def _coded(old: Run, new: Run, names: list[str]) -> list[str]:
    """Of whom this project's own code changed, which is not the same as that it changed."""
    told = _told(_whole(old), _whole(new))
    if not told or None in (_whole(old), _whole(new)):
        return []
    whose = [name for name in names if _code(old, name) != _code(new, name)]
    what = f"of what runs for {', '.join(whose)}" if whose else "but nothing that runs for these"
    return [f"Bakeoff's own code, {'all of it' if whose == names else what}: {told}"]


def _whole(run: Run) -> str | None:
    """An older plan's `code` is that of all."""
    found = run.plan.get("fingerprint", {})
    return found.get("all code") or found.get("code")


def _code(run: Run, name: str) -> str | None:
    """Of what runs for it; of a plan that does not tell, of everything."""
    told = (c.get("code") for c in run.plan["contenders"] if c["name"] == name)
    return next(told, None) or _whole(run)


def _size(run: Run, name: str) -> str | None:
    held = (_seen(run, name).get("environment") or {}).get("installed_bytes")
    return size(held) if held else None


def _held(run: Run, name: str) -> dict[str, str]:
    """Its environment's packages, with their versions; a comment tells of its Python."""
    lines = (_seen(run, name).get("environment") or {}).get("packages") or []
    named = [f"Python=={line[2:]}" if line.startswith("# ") else line for line in lines]
    return {package: version for package, _, version in (line.partition("==") for line in named)}


def around(old: Run, new: Run) -> list[str]:
    """What all contenders of a run share."""
    found = []
    own = THREADS if _several_threads(old, new) else ()
    settings = [run.plan.get("settings", {}) for run in (old, new)]
    machines = [run.environment["machine"] for run in (old, new)]
    for (before, after), keys, whose in (
        (settings, SETTINGS, ""),
        (machines, MACHINE, "the machine's "),
    ):
        for key in keys:
            told = _told(before.get(key), after.get(key)) if key not in own else None
            if told and key in before and key in after:  # an old record may not say
                found.append(f"{whose}{key.replace('_', ' ')}: {told}")
    return [*found, *_gpus(*(machine.get("gpu") or [] for machine in machines))]


def _several_threads(*runs: Run) -> bool:
    """Whether one of them measured on several: what it shares with another has as many in both."""
    return any(len({c.get("threads") for c in run.plan["comparisons"]}) > 1 for run in runs)


def _gpus(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    """GPU by GPU where there are as many; else who there is."""
    if len(old) != len(new):
        names = [[gpu.get("name") for gpu in gpus] for gpus in (old, new)]
        return [f"the machine's GPUs: {_told(*names)}"]
    parts = [_parts(*pair) for pair in zip(old, new, strict=True)]
    return [f"the machine's GPU {number}: {told}" for number, told in enumerate(parts) if told]
