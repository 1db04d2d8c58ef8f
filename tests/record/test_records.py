"""Claims about records: what was reported is there, once, whatever happened next."""

import gc
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Wrong
from harness.paths import ROOT
from harness.record import documents, records
from reports.verdicts import analyse
from tests.support.synthetic import write_run
from tests.support.yardstick import Limit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path, launches=0)


def _event(writer: records.Writer, number: int) -> None:
    writer.write("event", what="test", reason=str(number))


def _reasons(run: records.Run) -> list[str]:
    return [event["reason"] for event in run.events]


def test_every_writer_has_a_file_of_its_own(folder: Path) -> None:
    writers = [records.Writer(folder) for _ in range(3)]
    for number, writer in enumerate(writers):
        _event(writer, number)
    assert [w.path.name for w in writers] == [f"records-00{n}.jsonl" for n in range(3)]
    assert _reasons(records.read(folder)) == ["0", "1", "2"]


def test_the_names_of_a_run_s_files_outlast_a_power_cut_as_what_they_hold_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[set[str]] = []
    really = os.fsync

    def fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            synced.append({path.name for path in Path(f"/proc/self/fd/{file}").resolve().iterdir()})
        really(file)

    monkeypatch.setattr(os, "fsync", fsync)
    documents.begin(folder, {"machine": {}, "contenders": {}})
    records.Writer(folder).close()
    document, record = synced
    assert "environment.json" in document and "environment.partial" not in document
    assert "records-000.jsonl" in record - document


def test_a_torn_line_is_skipped_and_said(folder: Path) -> None:
    writer = records.Writer(folder)
    _event(writer, 1)
    with writer.path.open("ab") as file:
        file.write(b'{"schema":1,"kind":"event","what":"to')
    other = records.Writer(folder)
    _event(other, 2)
    run = records.read(folder)
    assert _reasons(run) == ["1", "2"]
    assert len(run.problems) == 1
    assert "records-000.jsonl, line 2: skipped" in run.problems[0]


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"\xff\xfe",
        b'{"kind":"event"}',
        b'{"schema":2,"kind":"event","what":"a","reason":"b"}',
        b'{"schema":1,"kind":"surprise"}',
        b'{"schema":1,"kind":"event","what":5,"reason":"b"}',
    ],
)
def test_a_line_that_is_no_record_is_skipped_and_said(folder: Path, line: bytes) -> None:
    (folder / "records-000.jsonl").write_bytes(line + b"\n")
    run = records.read(folder)
    assert not run.events
    assert len(run.problems) == 1


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [{"calls": [], "dropped": 0, "total_ns": 0}],
        [{"calls": [5], "dropped": 1, "total_ns": 0}],
        [{"calls": [5, 5], "dropped": -1, "total_ns": 5}],
        [{"calls": [5, 5], "dropped": 1, "total_ns": -5}],
        [{"calls": [5, 2**64], "dropped": 1, "total_ns": 5}],
    ],
)
def test_a_turn_that_leaves_nothing_to_read_takes_its_record_and_no_other(
    tmp_path: Path, turns: list[dict[str, Any]]
) -> None:
    run = records.read(write_run(tmp_path / "r", {"torch": 1.0, "jax": 1.1}))
    file = run.folder / "records-000.jsonl"
    lines = file.read_bytes().splitlines()
    odd = next(number for number, line in enumerate(lines) if b'"kind":"group"' in line)
    group = json.loads(lines[odd])
    group["turns"]["jax"] = turns
    lines[odd] = json.dumps(group).encode()
    file.write_bytes(b"\n".join(lines) + b"\n")
    read = records.read(run.folder)
    assert len(read.groups) == len(run.groups) - 1 and read.cells == run.cells
    assert len(read.problems) == 1 and f"line {odd + 1}: skipped" in read.problems[0]
    analyse(read)


def test_a_full_disk_leaves_whole_lines_only(folder: Path) -> None:
    """A limit on the file's size stands for the disk: the write that does not fit is undone."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from harness.record import records\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "writer = records.Writer(Path(sys.argv[1]))\n"
        "for number in range(100): writer.write('event', what='test', reason=str(number))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode != 0
    assert "OSError" in result.stderr
    run = records.read(folder)
    assert not run.problems
    assert _reasons(run) == [str(n) for n in range(len(run.events))]
    assert 3 < len(run.events) < 100


def test_a_writer_killed_at_any_moment_loses_nothing_it_reported(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.record import records\n"
        "writer = records.Writer(Path(sys.argv[1]))\n"
        "for number in range(10**6):\n"
        "    writer.write('event', what='test', reason=str(number)); print(number, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(50):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    reported = 50 + len(process.stdout.read().splitlines())
    process.wait()
    found = _reasons(records.read(folder))
    assert found[:reported] == [str(n) for n in range(reported)]
    assert len(found) in (reported, reported + 1)


@pytest.mark.parametrize("name", ["plan.json", "environment.json"])
@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\x00\xff"])
def test_a_folder_that_is_no_run_is_refused_in_one_line(
    folder: Path, name: str, content: bytes | None
) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(Wrong) as wrong:
        records.read(folder)
    assert name in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_newer_schema_is_refused(folder: Path) -> None:
    (folder / "plan.json").write_text('{"schema": 2, "run": "r"}')
    with pytest.raises(Wrong, match="schema 2"):
        records.read(folder)


def test_the_frame_has_one_row_for_every_call(folder: Path) -> None:
    writer = records.Writer(folder)
    turn = {"calls": [3, 1, 2], "dropped": 1, "total_ns": 3}
    for launch in (1, 2):
        writer.write(
            "group",
            comparison="c",
            launch=launch,
            direction="infer",
            precision="float32",
            device="cpu",
            rounds=2,
            order=[["a", "b"], ["b", "a"]],
            turns={"a": [turn, turn], "b": [turn, turn]},
            statuses={},
            machine={},
        )
    run = records.read(folder)
    assert not run.problems
    frame = records.frame(run)
    assert len(frame) == 2 * 2 * 2 * 3
    assert frame["ns"].sum() == 8 * 6
    assert frame["kept"].sum() == 8 * 2
    assert list(frame["call"].head(3)) == [0, 1, 2]
    assert records.frame(records.Run(folder, {}, {})).empty


def test_100_000_records_of_100_samples_are_a_frame_in_under_6_seconds(folder: Path) -> None:
    """In a process of its own, as somebody would load them, pandas' import included."""
    calls = [1_000_000 + 7919 * n % 1_000_000 for n in range(100)]
    turn = {"calls": calls, "dropped": 2, "total_ns": sum(calls)}
    record = {"schema": 1, "kind": "group", "direction": "infer", "precision": "float32"}
    record |= {"device": "cpu", "rounds": 1, "order": [["torch"]], "turns": {"torch": [turn]}}
    text = json.dumps(record | {"statuses": {}, "machine": {}})[:-1]
    with (folder / "records-000.jsonl").open("w") as file:
        for n in range(100_000):
            file.write(f'{text},"comparison":"c{n % 50}","launch":{n // 50}}}\n')
    code = (
        "import sys; from pathlib import Path\n"
        "from harness.record import records\n"
        "frame = records.frame(records.read(Path(sys.argv[1])))\n"
        "print(len(frame), frame['ns'].sum())"
    )
    command = [sys.executable, "-c", code, str(folder)]
    with Limit(6) as limit:
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows, total = told.stdout.split()
    assert (int(rows), int(total)) == (10_000_000, 100_000 * sum(calls))
    assert limit.kept, limit


def test_the_collector_runs_again_after_reading(folder: Path) -> None:
    records.read(folder)
    assert gc.isenabled()


def test_reading_needs_no_frame_library() -> None:
    """A machine that only measures need not have pandas imported."""
    code = "import sys, harness.record.records; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_file_of_records_that_is_gone_is_said(folder: Path) -> None:
    for number in range(3):
        _event(records.Writer(folder), number)
    (folder / "records-001.jsonl").unlink()
    run = records.read(folder)
    assert _reasons(run) == ["0", "2"]
    assert run.problems == ["records-001.jsonl is gone, and what it held"]
    for path in folder.glob("records-*.jsonl"):
        path.unlink()
    assert records.read(folder).problems == ["records-000.jsonl is gone, and what it held"]


def test_measurements_that_lost_their_environment_are_not_called_unmeasured(folder: Path) -> None:
    records.Writer(folder).write("group", comparison="x", launch=1)
    (folder / "environment.json").unlink()
    with pytest.raises(Wrong, match="holds measurements and no environment"):
        records.read(folder)


def test_measurements_without_their_environment_are_not_taken_for_a_greeting(
    tmp_path: Path,
) -> None:
    writer = records.Writer(tmp_path)
    writer.write("probe", contender="numpy")
    documents.forget_greeting(tmp_path)
    assert not [*tmp_path.glob("records-*.jsonl")]
    writer = records.Writer(tmp_path)
    writer.write("group", comparison="x", launch=1)
    writer.close()
    with pytest.raises(Wrong, match="bring that back, or start another run"):
        documents.forget_greeting(tmp_path)
    assert [*tmp_path.glob("records-*.jsonl")]
