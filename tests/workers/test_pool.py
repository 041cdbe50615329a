"""Pool: results in the order of priority; processes that end are replaced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from wetread.workers.pool import Pool, WorkerEndedError

OBEY = "wetread.testing.tasks:obey"


def task(word: str | None, name: str = "") -> pa.Table:
    return pa.table({"do": pa.array([word], pa.string()), "name": [name]})


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    pool = Pool(OBEY, {"until": str(tmp_path / "go")}, workers=1, timeout=2)
    yield pool
    pool.close()


def pid_of(answer: Future[pa.Table]) -> int:
    return int(answer.result()["pid"][0].as_py())


def test_processes_stay(pool: Pool) -> None:
    assert pid_of(pool.submit(task(None), 1)) == pid_of(pool.submit(task(None), 1))


@pytest.mark.parametrize(
    ("word", "status", "text"),
    [("kill", "crashed", "SIGKILL"), ("exit", "crashed", "status 3"), ("sleep", "timeout", "2 s")],
)
def test_a_process_that_ends_is_an_error_and_is_replaced(
    pool: Pool, word: str, status: str, text: str
) -> None:
    before = pid_of(pool.submit(task(None), 1))
    with pytest.raises(WorkerEndedError, match=text) as found:
        pool.submit(task(word), 1).result()
    assert found.value.status == status
    assert pid_of(pool.submit(task(None), 1)) != before


def test_exceptions_of_the_function_are_raised(pool: Pool) -> None:
    with pytest.raises(KeyError, match="requested"):
        pool.submit(task("raise"), 1).result()
    assert pid_of(pool.submit(task(None), 1))


def test_urgent_tasks_do_not_wait_and_go_first(pool: Pool, tmp_path: Path) -> None:
    pool.submit(task("wait"), 1)
    order: list[str] = []
    futures = []
    for priority, name in ((2, "thumb"), (1, "pixels"), (2, "thumb 2")):
        answer = pool.submit(task(None, name), priority)
        answer.add_done_callback(lambda a: order.append(a.result()["name"][0].as_py()))
        futures.append(answer)
    pid_of(pool.submit(task(None), 0))
    assert not order
    (tmp_path / "go").touch()
    for answer in futures:
        answer.result()
    assert order == ["pixels", "thumb", "thumb 2"]


def test_a_cancelled_task_is_never_run(pool: Pool, tmp_path: Path) -> None:
    pool.submit(task("wait"), 1)
    waiting = pool.submit(task("kill"), 1)
    after = pool.submit(task(None), 1)
    assert waiting.cancel()
    (tmp_path / "go").touch()
    assert pid_of(after)


def test_close_ends_processes_and_cancels_waiting_tasks() -> None:
    pool = Pool(OBEY, {}, workers=1, timeout=60)
    process = psutil.Process(pid_of(pool.submit(task(None), 1)))
    running, waiting = pool.submit(task("sleep"), 1), pool.submit(task(None), 1)
    while not running.running():
        time.sleep(0.01)
    pool.close()
    assert not process.is_running()
    assert isinstance(running.exception(), WorkerEndedError)
    with pytest.raises(CancelledError):
        waiting.result()
    assert pool.submit(task(None), 1).cancelled()
