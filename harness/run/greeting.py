"""Greets every contender once, before anything is timed.

What it says of itself, what its environment holds, and this machine's rates through it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.host import energy, gpus, machine
from harness.install import environments
from harness.plan.plan import Plan, PlannedComparison, PlannedContender
from harness.process.launch import Launcher, attempt, two_at_a_time
from harness.process.processes import WorkerFailed
from harness.run import cold, probe
from harness.stats import busy


@dataclass(frozen=True)
class Greeted:
    """What all answered, by name; and who did not."""

    plan: Plan
    precision: str  # in which all were asked to open
    seen: dict[str, dict[str, Any]]
    failed: dict[str, WorkerFailed]

    def without(self, name: str) -> list[PlannedComparison]:
        """In which comparisons it cannot be measured: it may lack this precision alone, and it was
        opened with the most threads; of fewer it is asked when it is measured."""
        lacks = _asked(self.plan)
        if self.failed[name].status == "unsupported":
            lacks = {self.precision}
        most = self.plan.settings.threads
        return [c for c in self.plan.comparisons if c.precision in lacks and c.threads in (0, most)]

    def environment(self, launcher: Launcher) -> dict[str, Any]:
        """The machine and the contenders, as environment.json has them."""
        known: dict[Any, dict[str, Any]] = {}
        held: dict[str, dict[str, Any]] = {}
        for contender in (c for c in self.plan.contenders if c.name in self.seen):
            python = launcher.python_of(contender)
            if python not in known:
                known[python] = environments.described(
                    contender.adapter,
                    launcher.kind,
                    launcher.current,
                    contender.version,
                    contender.variant,
                )
            held[contender.name] = self.seen[contender.name] | {"environment": known[python]}
        metered = {"energy_meters": [each.name for each in energy.meters(launcher.device)]}
        described = machine.describe(launcher.threads) | metered
        return {"machine": described, "contenders": held}


def look_for_load(device: str, write: Callable[..., None], say: Callable[..., None]) -> None:
    """Says who else is at work on this machine, while no worker of ours lives."""
    number = gpus.number(device)
    others = None if number is None else gpus.processes(number)
    shared = f"processes of others compute on the GPU: {others}" if others else None
    for reason in filter(None, (busy.why(machine.busy_now()), shared)):
        say("busy", reason=reason)
        write("event", what="busy", reason=f"before measuring: {reason}")


def greet(
    plan: Plan,
    launcher: Launcher,
    probed: set[str],
    write: Callable[..., None],
    say: Callable[..., None],
) -> Greeted:
    """Opens each contender once, and probes through those that are not `probed` yet."""
    contenders = {c.name: c for c in plan.contenders if c.copy == 1}
    plain = "float32" in _asked(plan)
    precision = "float32" if plain else plan.comparisons[0].precision  # the probes', too
    say("greet", contenders=list(contenders))
    workers = {n: launcher.start(c, f"greet-{n}", f"greet-{n}") for n, c in contenders.items()}

    def open_one(name: str) -> tuple[dict[str, Any], WorkerFailed | None]:
        worker = workers[name]
        answer = attempt(lambda: launcher.open(worker, contenders[name], precision))
        worker.stop()  # an idle framework's threads may spin, beside another's probe
        return answer

    opened = two_at_a_time(open_one, contenders)
    greeted = Greeted(plan, precision, {}, {})
    for (name, contender), (answer, failed) in zip(contenders.items(), opened, strict=True):
        greeted.seen[name] = {
            "version": contender.version,
            "manifest": answer.get("manifest", {}),
            **cold.outcome(failed),
        }
        if failed:
            greeted.failed[name] = failed
        elif _is_probed(contender) and name not in probed:
            say("probe", contender=name)
            found, unprobed = attempt(
                lambda n=name: probe.measure(workers[n], launcher.kind, precision)  # type: ignore[misc]
            )
            workers[name].stop()
            if found:
                write("probe", contender=name, launch=0, precision=precision, **found)
            if unprobed:
                reason = f"this machine's rates through {name}: {unprobed.reason}"
                say("unprobed", reason=reason)
                write("event", what="unprobed", contender=name, reason=reason)
    for worker in workers.values():
        launcher.close(worker)
    return greeted


def _is_probed(contender: PlannedContender) -> bool:
    """Whether this machine's rates are measured through it: as its framework is, no variant."""
    return contender.variant == "" and contender.computes


def _asked(plan: Plan) -> set[str]:
    return {c.precision for c in plan.comparisons}
