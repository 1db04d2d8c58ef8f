"""Claims about one contender's own figures in a comparison."""

import json
from pathlib import Path

from harness.record import records
from reports.verdicts import analyse
from tests.support.synthetic import write_run


def test_a_device_s_memory_is_of_the_start_that_took_least(tmp_path: Path) -> None:
    """With a filled cache nothing is tried: XLA's peak cannot be forgotten. The host's stays."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    [path] = folder.glob("records-*.jsonl")
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for record in found:
        if record["kind"] == "cell" and record["contender"] == "jax":
            cold = record["pass"] == "cold"
            record["memory"] |= {"allocated": 900 if cold else 100, "reserved": None}
            record["memory"]["peak_rss_bytes"] = 7 if cold else 5
    path.write_text("".join(f"{json.dumps(record)}\n" for record in found))
    started = next(c for c in analyse(records.read(folder)).comparisons if c.headline)
    memory = started.cell("jax").memory
    assert memory is not None
    assert (memory["allocated"], memory["reserved"], memory["peak_rss_bytes"]) == (100, None, 7)
