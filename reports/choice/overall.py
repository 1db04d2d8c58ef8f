"""What is said of a run's choices together: the answer in a breath, and who was not asked."""

from typing import Any

from reports.analysis import Analysis, short
from reports.words import few, listed

# Instructions of a processor that multiply in bfloat16 itself: elsewhere libraries imitate it.
BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")


def answer(recommendations: list[Any]) -> str:
    """All choices in a breath: what is decided first, then who is in front without proof."""
    decided: dict[str, list[str]] = {}
    tied: dict[str, list[str]] = {}
    ahead: dict[str, list[str]] = {}
    for each in recommendations:
        if each.choice:
            decided.setdefault(each.choice, []).append(each.title)
        elif each.tied:
            left = f" ({listed(each.untold)} not told apart yet)" if each.untold else ""
            tied.setdefault(listed(each.tied), []).append(f"{each.title}{left}")
        elif len(each.ranking) > 1:
            ahead.setdefault(each.ranking[0]["contender"], []).append(each.title)
    told = [
        f"{head}: {'; '.join(f'{who} for {listed(titles)}' for who, titles in found.items())}."
        for head, found in (("Decided", decided), ("A tie", tied), ("Leading, not proven", ahead))
        if found
    ]
    if not told:
        return _alone(recommendations)
    return " ".join(told) if decided else " ".join(["Nothing is decided.", *told])


def _alone(recommendations: list[Any]) -> str:
    """Where no use has two who could be chosen; nothing where there is no use."""
    who = {each.ranking[0]["contender"] for each in recommendations if each.ranking}
    if not recommendations or len(who) > 1:
        return "Nothing is decided." if recommendations else ""
    return f"Nothing is decided: {f'{who.pop()} has no rival' if who else 'nobody is left'}."


def left_out(ids: list[str]) -> str:
    """What no verdict rests on, though the suite asks for it; nothing where all was planned."""
    if not ids:
        return ""
    return (
        f"Left out of this run, and of every verdict: {few([short(id_) for id_ in ids])}. A use "
        "that needs them is not there, or rests on less."
    )


def unasked(analysis: Analysis) -> list[tuple[str, str]]:
    """What nobody asked, though it may choose otherwise; and what to type."""
    return [*engines(analysis), *precisions(analysis)]


def engines(analysis: Analysis) -> list[tuple[str, str]]:
    """Who was not there, and may be faster than all that were."""
    if not any(each.engineless for each in analysis.recommendations):
        return []
    told = "Inference engines (ONNX Runtime, OpenVINO, LiteRT) took no part, and may be faster:"
    return [(told, "make bench-serving")]


def precisions(analysis: Analysis) -> list[tuple[str, str]]:
    """In which precision it may be another answer."""
    found = []
    lower = _lower(analysis)
    if lower and {comparison.precision for comparison in analysis.comparisons} == {"float32"}:
        told = f"{lower}, and all of this is float32; add to its command, and twice the budget:"
        found.append((told, "--precision float32,bfloat16"))
    return found


def own(analysis: Analysis) -> str:
    """Who is ranked and recommended to nobody; nothing where nobody is."""
    names = [c["name"] for c in analysis.shown if c["baseline"]]
    if not names or not analysis.recommendations:
        return ""
    them = "baseline" if len(names) == 1 else "baselines"
    return (
        f"{listed(names)} {'is' if len(names) == 1 else 'are'} Bakeoff's own {them}: shown in each "
        "workload, and never recommended."
    )


def _lower(analysis: Analysis) -> str:
    """Why bfloat16 may be faster there: nothing where a machine has no units for it."""
    if analysis.settings.get("device", "cpu") != "cpu":
        return "GPUs have units for bfloat16"
    told = str(analysis.machine.get("instructions") or "").split()
    names = [name for name in BFLOAT16 if name in told]
    return f"This processor multiplies in bfloat16 as well ({names[0]})" if names else ""


def unreadable(problems: list[str]) -> str:
    """That records are damaged; nothing where all were read."""
    if not problems:
        return ""
    count = "a record" if len(problems) == 1 else f"{len(problems)} records"
    return (
        f"{count} could not be read, and what is said here may be another thing without what "
        f"was in there: {few(problems, 2)}."
    )
