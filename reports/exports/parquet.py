"""Every timed call as a Parquet file, one row a call: for pandas, polars, DuckDB.

The one export of what was measured rather than of what is said about it. pyarrow is not
among Bakeoff's dependencies: 40 MB for one format that few ask for.
"""

from importlib import util
from pathlib import Path

from harness.errors import Wrong
from harness.record import records


def write(run: records.Run, output: Path) -> Path:
    """Writes `records.frame` of a run; returns where. Raises Wrong."""
    if util.find_spec("pyarrow") is None:
        raise Wrong(
            "--format parquet needs pyarrow, which this Python lacks: install it with "
            "`pip install -e '.[parquet]'`, or take --format csv"
        )
    try:
        records.frame(run).to_parquet(output, index=False)
    except OSError as error:
        raise Wrong(f"the table cannot be written to {output}: {error.strerror}") from None
    return output
