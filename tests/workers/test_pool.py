"""The pool: answers, in the order of urgency; processes that end are replaced."""

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
    assert pid_of(pool.ask(task(None), 1)) == pid_of(pool.ask(task(None), 1))


@pytest.mark.parametrize(
    ("word", "status", "text"),
    [("kill", "crashed", "SIGKILL"), ("exit", "crashed", "status 3"), ("sleep", "timeout", "2 s")],
)
def test_a_process_that_ends_is_an_answer_and_is_replaced(
    pool: Pool, word: str, status: str, text: str
) -> None:
    before = pid_of(pool.ask(task(None), 1))
    with pytest.raises(WorkerEndedError, match=text) as found:
        pool.ask(task(word), 1).result()
    assert found.value.status == status
    assert pid_of(pool.ask(task(None), 1)) != before


def test_what_the_function_raises_is_raised(pool: Pool) -> None:
    with pytest.raises(KeyError, match="asked to"):
        pool.ask(task("raise"), 1).result()
    assert pid_of(pool.ask(task(None), 1))


def test_urgent_questions_do_not_wait_and_go_first(pool: Pool, tmp_path: Path) -> None:
    pool.ask(task("wait"), 1)
    order: list[str] = []
    asked = []
    for urgency, name in ((2, "thumb"), (1, "pixels"), (2, "thumb 2")):
        answer = pool.ask(task(None, name), urgency)
        answer.add_done_callback(lambda a: order.append(a.result()["name"][0].as_py()))
        asked.append(answer)
    pid_of(pool.ask(task(None), 0))
    assert not order
    (tmp_path / "go").touch()
    for answer in asked:
        answer.result()
    assert order == ["pixels", "thumb", "thumb 2"]


def test_a_cancelled_question_is_never_asked(pool: Pool, tmp_path: Path) -> None:
    pool.ask(task("wait"), 1)
    waiting = pool.ask(task("kill"), 1)
    after = pool.ask(task(None), 1)
    assert waiting.cancel()
    (tmp_path / "go").touch()
    assert pid_of(after)


def test_close_ends_processes_and_cancels_what_waits() -> None:
    pool = Pool(OBEY, {}, workers=1, timeout=60)
    process = psutil.Process(pid_of(pool.ask(task(None), 1)))
    running, waiting = pool.ask(task("sleep"), 1), pool.ask(task(None), 1)
    while not running.running():
        time.sleep(0.01)
    pool.close()
    assert not process.is_running()
    assert isinstance(running.exception(), WorkerEndedError)
    with pytest.raises(CancelledError):
        waiting.result()
    assert pool.ask(task(None), 1).cancelled()
