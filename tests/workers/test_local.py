from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from wetread.errors import StorageError, UnknownNameError
from wetread.workers import LocalEngine
from wetread.workers.messages import describe, rebuild, resolve

Children = Callable[[], set[psutil.Process]]
OBEY = "wetread.testing.tasks:obey"


def task(start: int, *do: str | None) -> pa.Table:
    return pa.table({"row": range(start, start + len(do)), "do": pa.array(do, pa.string())})


def failed(row: pa.Table, status: str, text: str) -> pa.Table:
    assert row.num_rows == 1
    return row.append_column("status", pa.array([status])).append_column("text", pa.array([text]))


def run(tasks: list[pa.Table], workers: int = 2, timeout: float | None = None) -> list[dict]:
    tables = LocalEngine(workers, timeout).map(OBEY, tasks, {}, failed)
    return sorted((row for t in tables for row in t.to_pylist()), key=lambda row: row["row"])


@pytest.fixture
def children() -> Children:
    """Worker processes that the test has started, without those of shared viewers."""

    def list_all() -> set[psutil.Process]:
        return {p for p in psutil.Process().children() if "wetread.workers.worker" in p.cmdline()}

    before = list_all()
    return lambda: list_all() - before


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_row_comes_back_once(workers: int, children: Children) -> None:
    rows = run([task(i * 10, *[None] * 10) for i in range(9)], workers)
    assert [row["row"] for row in rows] == list(range(90))
    assert (os.getpid() in {row["pid"] for row in rows}) == (workers == 0)
    assert not children()


def test_an_interrupt_does_not_end_a_starting_worker(
    children: Children, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C reaches all processes of the terminal; it is the caller's to handle."""
    with ThreadPoolExecutor(1) as pool:
        rows = pool.submit(run, [task(0, None)], 1)
        while not rows.done():
            with suppress(psutil.NoSuchProcess):  # it has ended
                for process in children():
                    process.send_signal(signal.SIGINT)
        assert [row["row"] for row in rows.result()] == [0]
    assert not capfd.readouterr().err  # no traceback


def test_no_task_starts_no_process() -> None:
    assert run([]) == []


@pytest.mark.parametrize(
    ("word", "text"), [("exit", "exit status 3"), ("kill", "SIGKILL")], ids=["exit", "kill"]
)
def test_a_crash_is_narrowed_down_to_its_row(word: str, text: str) -> None:
    rows = run([task(0, None, None, word, None, None), task(5, None, None)])
    assert [row["row"] for row in rows] == list(range(7))
    assert [row.get("status") for row in rows] == [None, None, "crashed", None, None, None, None]
    assert text in rows[2]["text"]


def test_timeout_is_narrowed_down_to_its_row() -> None:
    rows = run([task(0, None, "sleep"), task(2, None)], timeout=2.0)
    assert [row.get("status") for row in rows] == [None, "timeout", None]
    assert rows[1]["text"] == "longer than 2 s"


def test_row_by_row_each_hung_row_costs_one_timeout(tmp_path: Path) -> None:
    engine = LocalEngine(1, timeout=2, each=True)
    log = tmp_path / "log"
    tasks = [task(0, None, None, "heartbeat", "sleep", None, "kill", None, None, "sleep")]
    tables = engine.map(OBEY, tasks, {"log": str(log)}, failed)
    rows = sorted((row for t in tables for row in t.to_pylist()), key=lambda row: row["row"])
    assert [row["row"] for row in rows] == list(range(9))
    found = [row.get("status") for row in rows]
    assert found == [None, None, None, "timeout", None, "crashed", None, None, "timeout"]
    assert "SIGKILL" in rows[5]["text"]
    assert log.read_text().split().count("sleep") == 2  # no row that hangs is tried again


@pytest.mark.parametrize("workers", [0, 2])
def test_exceptions_of_the_function_are_raised(workers: int, children: Children) -> None:
    with pytest.raises(KeyError, match="requested") as caught:
        run([task(0, None), task(1, "raise")], workers)
    if workers:
        assert "in obey" in caught.value.__notes__[0]
    assert not children()


def test_exceptions_of_the_tasks_are_raised(children: Children) -> None:
    def tasks() -> Iterator[pa.Table]:
        yield task(0, None)
        raise OSError("the walk failed")

    with pytest.raises(OSError, match="the walk failed"):
        list(LocalEngine(1).map(OBEY, tasks(), {}, failed))
    assert not children()


def test_known_exceptions_keep_their_type() -> None:
    full = rebuild(json.loads(json.dumps(describe(StorageError(28, "No space left")))))
    assert isinstance(full, StorageError)
    assert full.errno == 28
    name = rebuild(describe(UnknownNameError("column", "rows", ["Rows"])))
    assert isinstance(name, UnknownNameError)
    assert "did you mean Rows" in str(name)
    assert str(rebuild(describe(pa.ArrowInvalid("bad")))) == "ArrowInvalid: bad"
    assert isinstance(rebuild(describe(UnicodeDecodeError("utf-8", b"", 0, 1, "?"))), RuntimeError)


def test_eof_error_of_the_function_is_no_crash() -> None:
    with pytest.raises(EOFError, match="not of the pipe"):
        run([task(0, None, "end")])


def test_tasks_are_taken_only_as_needed() -> None:
    taken = []

    def tasks() -> Iterator[pa.Table]:
        for i in range(100):
            taken.append(i)
            yield task(i, None)

    tables = LocalEngine(1).map(OBEY, tasks(), {}, failed)
    next(tables)
    assert len(taken) <= 3
    tables.close()  # type: ignore[attr-defined]


def test_workers_end_when_the_iterator_is_closed(children: Children) -> None:
    tables = LocalEngine(2).map(OBEY, [task(0, None), *[task(1, "sleep")] * 9], {}, failed)
    next(tables)
    assert children()
    start = time.monotonic()
    tables.close()  # type: ignore[attr-defined]
    assert not children()
    assert time.monotonic() - start < 60  # which each of them would sleep


def test_printed_text_of_a_function_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    assert len(run([task(0, "print")], 1)) == 1
    out, err = capfd.readouterr()
    assert (out, err) == ("", "printed by a worker\n")


@pytest.mark.parametrize("name", ["os:system", "wetreader:x", "wetread.errors:__import__('os')"])
def test_only_our_own_functions_are_called(name: str) -> None:
    with pytest.raises(ValueError, match="not a function of wetread"):
        resolve(name)


@pytest.mark.parametrize("kills", [2, 3])
def test_a_worker_killed_while_it_starts_is_started_again(kills: int, tmp_path: Path) -> None:
    """Found by `bench/kills.py`; in a separate process, where nothing else starts workers."""
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\necho >> {tmp_path}/starts\nn=0\n"
        f"while read -r _; do n=$((n + 1)); done < {tmp_path}/starts\n"
        f"[ $n -le {kills} ] && kill -9 $$\n"
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    script = f"import sys\nsys.executable = {str(python)!r}\n{SCRIPT.replace('(2)', '(1)')}"
    with start_script(tmp_path) as process:
        out, error = process.communicate(script.replace("WORD", "None"))
    if kills == 2:
        assert "rows 4" in out
    else:
        assert "RuntimeError: a worker process could not start: SIGKILL" in error


def test_a_worker_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RuntimeError, match="could not start: exit status 1"):
        run([task(0, None)])


SCRIPT = f"""
import pyarrow as pa
from wetread.workers import LocalEngine

tasks = [pa.table({{"do": pa.array([WORD], pa.string())}}) for _ in range(4)]
rows = 0
for table in LocalEngine(2).map({OBEY!r}, tasks, {{}}, None):
    print(table["pid"][0], flush=True)
    rows += len(table)
print("rows", rows)
"""


def start_script(folder: Path) -> subprocess.Popen[str]:
    import wetread

    source = str(Path(wetread.__path__[0]).parent)
    return subprocess.Popen(
        [sys.executable, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": source},
    )


def test_a_script_from_stdin_needs_no_main_guard(tmp_path: Path) -> None:
    with start_script(tmp_path) as process:
        out, _ = process.communicate(SCRIPT.replace("WORD", "None"))
    assert "rows 4" in out


def test_workers_end_when_the_parent_is_killed(tmp_path: Path, children: Children) -> None:
    script = SCRIPT.replace("WORD", "'sleep' if _ > 1 else None")
    with start_script(tmp_path) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(script)
        process.stdin.close()
        process.stdout.readline()
        process.stdout.readline()
        workers = psutil.Process(process.pid).children()
        assert workers
        process.kill()
        psutil.wait_procs(workers)


def test_worker_without_pandas() -> None:
    """PyTorch looks for its spec, PyArrow would import it."""
    program = (
        "import importlib.util, sys\n"
        "from wetread.workers.worker import _WithoutPandas\n"
        "sys.meta_path.insert(0, _WithoutPandas())\n"
        "importlib.util.find_spec('pandas')\n"
        "import pyarrow\n"
        "pyarrow.array([1])\n"
        "assert 'pandas' not in sys.modules\n"
        "try: import pandas\n"
        "except ModuleNotFoundError: print('not there')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "not there\n", ran.stderr
