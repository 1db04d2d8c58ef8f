"""The command that measures something of a run again, as the run measured it."""

import shlex
from collections.abc import Sequence
from typing import Any

from harness.records import Run


def command(run: Run, comparisons: Sequence[dict[str, Any]], contenders: Sequence[str]) -> str:
    """`bakeoff run` of these comparisons of the run's plan, on its device, in its settings.

    What has a default that another machine would answer otherwise is spelt out. A precision
    goes in where all comparisons share one: of several the suite knows which.
    """
    settings = run.plan.get("settings", {})
    suite = run.plan["suite"]
    options = {
        "--suite": suite.get("path") or suite["name"],
        "--workloads": ",".join(dict.fromkeys(c["workload"] for c in comparisons)),
        "--contenders": ",".join(contenders),
        "--device": settings.get("device"),
    }
    precisions = {c["precision"] for c in comparisons}
    if len(precisions) == 1 and precisions != {"float32"}:
        [options["--precision"]] = precisions
    versions = any("@" in name for name in contenders)  # of which a Python of yours has one
    if settings.get("python") == "current" and not versions:
        options["--python"] = "current"
    cores = run.environment.get("machine", {}).get("cores_physical")
    if settings.get("threads") not in (None, cores):
        options["--threads"] = str(settings["threads"])
    if settings.get("allocator") not in (None, "tuned"):
        options["--allocator"] = settings["allocator"]
    parts = [part for name, value in options.items() if value for part in (name, value)]
    return shlex.join(["bakeoff", "run", *parts])
