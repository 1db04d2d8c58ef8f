"""The page of a campaign: each claim, its figures with their intervals, and their limits.

One file without any script. What comes from the campaign's files is data: Jinja2 escapes it.
"""

from pathlib import Path
from typing import Any

from reports.pages import template

WIDTH = 220  # of a strip, in pixels
CHART = (460, 220)
INK = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito's


def write(findings: list[dict[str, Any]], name: str, output: Path | None = None) -> Path:
    """Writes the page; returns where. Raises Wrong where it cannot."""
    return template.save(
        output or template.FOLDER / "html" / f"{name}.html", render(findings, name)
    )


def render(findings: list[dict[str, Any]], name: str) -> str:
    """The page as text; `findings` as `harness.proof.campaign.read` gives them."""
    return template.render(
        "proof.html.j2",
        name=name,
        findings=findings,
        held=sum(finding["ok"] for finding in findings),
        strip=strip,
        curves=curves,
        width=WIDTH,
        chart=CHART,
    )


def strip(figure: dict[str, Any]) -> dict[str, float | None]:
    """Where a figure, its interval and its limits lie on a strip, in pixels from its left.

    A share is drawn from 0 to 1 where it is large, and closer where all of it is small.
    """
    known = [figure[key] for key in ("value", "low", "high", "most", "least")]
    known = [value for value in known if value is not None]
    if figure["unit"] == "ratio":
        reach = max(0.02, *(abs(value - 1) for value in known)) * 1.2
        start, end = 1 - reach, 1 + reach
    else:
        top = max(known)
        start, end = 0.0, 1.0 if top > 0.5 and figure["unit"] == "share" else (1.3 * top or 1.0)
        if figure["unit"] == "share" and min(known) > 0.8:
            start = 0.8

    def place(value: float | None) -> float | None:
        if value is None:
            return None
        return round(WIDTH * min(1.0, max(0.0, (value - start) / (end - start))), 1)

    return {key: place(figure[key]) for key in ("value", "low", "high", "most", "least")}


def curves(finding: dict[str, Any]) -> list[dict[str, Any]]:
    """A finding's series as lines of a chart: name, colour, points, and where each ends."""
    points: dict[str, list[tuple[float, float]]] = {}
    for figure in finding["figures"]:
        if figure.get("series") is not None:
            points.setdefault(figure["series"], []).append((figure["x"], figure["value"]))
    furthest = max((x for line in points.values() for x, _ in line), default=1.0) or 1.0
    width, height = CHART
    lines = []
    for place, (name, line) in enumerate(points.items()):
        at = [(round(width * x / furthest, 1), round(height * (1 - y), 1)) for x, y in line]
        lines.append(
            {
                "name": name,
                "ink": INK[place % len(INK)],
                "points": at,
                "path": "M" + "L".join(f"{x} {y}" for x, y in at),
                "furthest": furthest,
            }
        )
    return lines
