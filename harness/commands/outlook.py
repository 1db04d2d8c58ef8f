"""What is said of a run before anything is measured: what it would do, how long that takes, and
who has no rival."""

from rich.console import Console

from harness import durations
from harness.commands.common import escape, table
from harness.plan import fitting, plan
from harness.plan.suite import Suite
from harness.run import starts
from harness.stats.sampling import FIRST_STAGE


def show(
    planned: plan.Plan, suite: Suite, estimates: dict[str, fitting.Estimate], console: Console
) -> None:
    """--dry-run: a row a comparison, and the sum against the budget."""
    from reports.analysis import short

    launches = planned.settings.launches or FIRST_STAGE
    words = {FIRST_STAGE: "six launches", 1: "one launch"}.get(launches, f"{launches} launches")
    total = fitting.launching(planned.comparisons, planned.contenders, launches)
    floor = planned.noise_floor
    again = [c for c in planned.comparisons if floor and floor.twin in c.contenders]
    rows = []
    for comparison in planned.comparisons:
        estimate = estimates[comparison.id]
        total += estimate.total
        parts = (estimate.cold, estimate.first, estimate.launch, estimate.total)
        count = len(comparison.able) - (comparison in again)
        rows.append((short(comparison.id), str(count), *map(durations.spell, parts)))
    heads = ("comparison", "contenders", "cold", "first", "later", "in all")
    table(console, f"Would measure ({escape(planned.suite['title'])})", heads, rows)
    for left in planned.left_out:
        console.print(f"[yellow]Left out:[/] {short(left['comparison'])}: {escape(left['reason'])}")
    _tell_absent(planned, console)
    if floor:
        where = f"in {len(again)} of {len(planned.comparisons)} comparisons"
        console.print(f"And {escape(floor.of)} again, for the noise floor, {where}.")
    console.print("First, later: launches, each a fresh process of every contender.")
    most = durations.spell(planned.budget_s)
    # What was asked for by name, or so many launches of, makes room for nothing (run/room.py).
    kept = planned.settings.named or planned.settings.launches is not None
    console.print(
        f"About {durations.spell(total)} for {words}, by estimate; the budget is {most}. "
        f"What takes longer loses rounds, then {'launches' if kept else 'the last comparisons'}."
    )
    if any(starts.waited(c) for c in planned.comparisons):
        console.print(f"Up to {starts.SHARE:.0%} of it goes to further starts of who starts soon.")
    _tell_calls(planned, suite, console)
    unfit = [left["comparison"] for left in planned.left_out if left.get("want") == fitting.TIME]
    needed = total + sum(estimates[each].total for each in unfit)
    whole = durations.spell(fitting.ROOM * needed)
    if unfit:
        console.print(
            f"{len(unfit)} of {len(planned.left_out) + len(planned.comparisons)} comparisons are "
            f"left out for want of time; to hold them as well, in {words}: --budget {whole}"
        )
    if total > fitting.SLACK * planned.budget_s:
        console.print(
            f"[bold yellow]{fitting.too_short(total, launches=launches)}[/]", soft_wrap=True
        )
    elif total > planned.budget_s and not unfit:
        console.print(f"All of it, in {words}: --budget {whole}")


def tell_missing(planned: plan.Plan, suite: Suite, console: Console) -> None:
    """What a run that begins will not hold, in a line: of a large suite that may be dozens."""
    from reports.analysis import short
    from reports.words import few

    if planned.left_out:
        asked = len(planned.left_out) + len(planned.comparisons)
        names = few([short(left["comparison"]) for left in planned.left_out])
        console.print(
            f"[yellow]Left out:[/] {len(planned.left_out)} of {asked} comparisons ({names}); "
            "--dry-run says why, and which budget holds all",
            soft_wrap=True,
        )
    _tell_absent(planned, console)
    _tell_calls(planned, suite, console)


def _tell_calls(planned: plan.Plan, suite: Suite, console: Console) -> None:
    """Whether what serves one image is known by its slowest calls as well, and what that takes."""
    whole = fitting.holding_all(planned, suite)
    if whole is not None:
        told = "One image at a time: by its usual calls; with the slowest in a hundred: --budget "
        console.print(told + durations.spell(whole), soft_wrap=True)


def _tell_absent(planned: plan.Plan, console: Console) -> None:
    """Who cannot take part, and whether anybody is left to be compared."""
    for gone in planned.absent:
        console.print(f"[yellow]Absent:[/] {escape(gone['name'])}: {escape(gone['reason'])}")
    told: dict[str, str] = {}
    for comparison in planned.comparisons:
        told |= comparison.unsupported
    for name, reason in told.items():
        console.print(f"[yellow]Unsupported:[/] {escape(name)}: {escape(reason)}")
    measured = {name for comparison in planned.comparisons for name in comparison.able}
    left = [contender for contender in planned.rivals if contender.name in measured]
    if len(left) == 1:
        name = escape(left[0].name)
        only = f"Only {name} is left" if planned.absent or told else f"Only {name} takes part"
        console.print(f"[bold yellow]{only}: there is nothing to compare it with.[/]")
