"""Add a framework: new-adapter, check."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from adapters.core.precision import PRECISIONS
from harness.commands.common import Device, Json, Python, app, device_of, is_current, print_json
from harness.errors import Wrong
from harness.paths import ROOT
from harness.plan import inventory

if TYPE_CHECKING:
    from harness.check.expected import Expected


@app.command("new-adapter")
def new_adapter(
    name: Annotated[str, typer.Argument(help="As contenders name it: small letters, digits, _.")],
) -> None:
    """Write `adapters/NAME.py`: every operation with what it means, still to be filled in.

    Example: `bakeoff new-adapter my_framework`
    """
    from adapters.core import discovery, skeleton

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise Wrong(f"adapter '{name}': expected small letters, digits and _, as in my_framework")
    path = discovery.FOLDER / f"{name}.py"
    if path.exists() or path.with_suffix("").exists() or name in discovery.names():
        raise Wrong(f"adapter '{name}' is there already: choose another name")
    requirements = discovery.FOLDER / "requirements" / f"{name}-cpu.txt"
    path.write_text(skeleton.source(name))
    if not requirements.exists():
        numpy = (requirements.parent / "numpy-cpu.txt").read_text()  # which every worker needs
        requirements.write_text(f"# Pin {name}'s own packages here, one a line.\n{numpy}")
    print(f"wrote {path.relative_to(ROOT)} and {requirements.relative_to(ROOT)}")
    print(f"next: pin the framework there, `bakeoff setup {name}`, then `bakeoff check {name}`,")
    print("which tells what to write first; adapters/README.md is the guide")


@app.command()
def check(
    contenders: Annotated[
        list[str] | None, typer.Argument(metavar="CONTENDER...", help="As in torch:compile.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every contender that can run here.")
    ] = False,
    device: Device = None,
    precision: Annotated[str, typer.Option(help=", ".join(PRECISIONS) + ".")] = "float32",
    python: Python = None,
    json_: Json = False,
) -> None:
    """Is an adapter right? Every operation against the float64 reference, the smallest first.

    Stops at the first thing wrong and says what it should be. Exit status 1 where one is.

    Example: `bakeoff check torch`
    """
    from adapters.core import discovery
    from harness.check import expected
    from harness.worker.verify import GATES

    chosen, current = device_of(device), is_current(python)
    if precision not in GATES:
        raise Wrong(f"--precision {precision}: expected one of {', '.join(GATES)}")
    if every == bool(contenders):
        raise Wrong("name the contenders to check, or give --all; `bakeoff list` shows them")
    console = Console(stderr=json_, highlight=False)
    if every:
        rows = inventory.contenders(chosen, current)
        named = [r["name"] for r in rows if r["available"] and r["computes"]]
        if not named:
            raise Wrong(f"no contender can run on {chosen}; `bakeoff list` says why")
    else:
        named = contenders or []
    asked = [inventory.parse(name) for name in named]
    if current:
        inventory.refuse_versions(asked)
    for each in asked:
        if not discovery.adapter_class(each.adapter).computes:
            idle = f"{each.name} computes nothing, by design: there is nothing to check"
            raise Wrong(f"{idle}; name one that computes")
    with expected.Expected() as shared:
        results = [
            _checked(each, chosen, precision, current, console, every, shared) for each in asked
        ]
    if json_:
        print_json(results)
    raise typer.Exit(0 if all(result["ok"] for result in results) else 1)


def _checked(
    contender: inventory.Contender,
    device: str,
    precision: str,
    current: bool,
    console: Console,
    every: bool,
    reference: "Expected | None" = None,
) -> dict[str, Any]:
    """Walks through the steps and tells each stage as it ends: the next may take minutes.

    Raises Wrong where it cannot be checked; among `every` one that is told, and stops no other.
    """
    from dataclasses import asdict

    from harness.check import conformance

    console.print(f"{contender.name} on {device}, {precision}", style="bold")
    done: dict[str, int] = {}
    result: dict[str, Any] = {"contender": contender.name, "ok": True, "done": done}
    result |= {"unsupported": [], "finding": None}
    told: set[str] = set()

    def tell(stages: Iterable[str]) -> None:
        for stage in [stage for stage in stages if stage not in told]:
            console.print(f"  [green]right[/green]  {stage}: {done[stage]}")
            told.add(stage)

    with conformance.Check(contender, device, precision, current, reference) as conformity:
        with console.status("") as status:
            for step in conformity.steps():
                tell(stage for stage in done if stage != step.stage)
                status.update(f"{step.stage}: {escape(step.name)}")
                try:
                    finding = step.run()
                except (conformance.Refused, Wrong) as refused:
                    if not every:
                        why = f"{contender.name} cannot be checked here: {refused}"
                        raise Wrong(why) from None
                    if isinstance(refused, Wrong):  # the reference's failure, and nobody's success
                        result["ok"] = False
                    all_of_it = conformance.Finding("all of it", str(refused), unsupported=True)
                    result["unsupported"].append(asdict(all_of_it))
                    finding = None
                    break
                if finding is not None and finding.unsupported:
                    result["unsupported"].append(asdict(finding))
                    finding = None
                elif finding is not None:
                    result.update(ok=False, finding={"stage": step.stage, **asdict(finding)})
                    break
                else:
                    done[step.stage] = done.get(step.stage, 0) + 1
        printed = conformity.printed() if finding is not None else []
    tell(done)
    for each in result["unsupported"]:
        case = escape(each["case"].partition(":")[0])
        console.print(f"  [yellow]unsupported[/yellow]  {case}: {escape(each['what'])}")
    if finding is not None:
        console.print(
            f"  [bold red]WRONG[/bold red]  {step.stage}: {escape(finding.case)}", soft_wrap=True
        )
        console.print(f"         {escape(finding.what)}", soft_wrap=True)
        if finding.evidence:
            console.print(f"         {escape(finding.evidence)}", soft_wrap=True)
        if finding.cause:
            console.print(f"         usual cause: {escape(finding.cause)}", soft_wrap=True)
        for line in printed:
            console.print(f"         | {escape(line)}", style="dim", soft_wrap=True)
    return result
