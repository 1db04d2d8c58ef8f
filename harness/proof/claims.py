"""What a claim's proof comes to: figures, each with its own interval and its limit."""

from dataclasses import dataclass

from scipy import special


@dataclass(frozen=True)
class Figure:
    """A measured or simulated figure. `low` and `high` are its own 95% interval, if it has one.

    most, least: what the claim allows; None on both sides for a figure that is only told.
    control: a naive way that must fail, shown beside ours; its limit says how badly.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    most: float | None = None
    least: float | None = None
    unit: str = "share"  # or `ratio`, `us`, `percent`, `count`
    control: bool = False
    # A point of a curve: the curve's name, and where on the horizontal axis it lies.
    series: str | None = None
    x: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it keeps its limits; the figure itself counts, not its interval."""
        above = self.most is not None and not self.value <= self.most
        below = self.least is not None and not self.value >= self.least
        return not (above or below)


def allowed(most: float, trials: int) -> float:
    """The share that 95% of those keep whose true one is `most`: of few trials one is much."""
    counts = range(trials + 1)
    return next(n for n in counts if special.bdtr(n, trials, most) >= 0.95) / trials


def rate(
    name: str,
    count: int,
    trials: int,
    most: float | None = None,
    least: float | None = None,
    control: bool = False,
) -> Figure:
    """A share of independent trials, with its exact interval (Clopper and Pearson 1934)."""
    missed = trials - count
    low = special.betaincinv(count, missed + 1, 0.025) if count else 0.0
    high = special.betaincinv(count + 1, missed, 0.975) if missed else 1.0
    return Figure(
        name,
        count / trials,
        float(low),
        float(high),
        most,
        least,
        control=control,
    )
