"""Two machines train one model: two launchers, with a folder or a network each; one may die."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch

import wetread as wr
from wetread.cache.cache import Cache
from wetread.learn.checkpoint import load_tensors

pytestmark = pytest.mark.timeout(900)  # eight processes that import PyTorch, on a busy machine too

TRAIN = ["train.cache", "truth.parquet", "-o", "run", "--size", "64", "--batch", "4"]
TRAIN += ["--steps", "6", "--threads", "1", "-q"]
RUN = ["-m", "torch.distributed.run"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(wr.__file__).parents[1]),
    "PYTHONWARNINGS": "ignore",
    "OMP_NUM_THREADS": "1",
}
CUT = ["link", "set", "cable", "down"]
EXAMPLE = Path(__file__).parents[2] / "examples" / "two_machines.sh"


@dataclass
class Machine:
    """A folder to work in, and how the other machine finds this one."""

    disk: Path
    address: str = "127.0.0.1"
    interface: str = "lo"
    enter: tuple[str, ...] = ()
    """The command that goes to its network."""

    def launch(self, *arguments: str) -> subprocess.Popen[str]:
        """A launcher of torchrun's."""
        return subprocess.Popen(
            [*self.enter, sys.executable, *RUN, *arguments],
            cwd=self.disk,
            env={**ENVIRONMENT, "GLOO_SOCKET_IFNAME": self.interface},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


Pair = tuple[Machine, Machine]


def train(
    machines: Pair, *arguments: str, program: tuple[str, ...] = ("-m", "wetread")
) -> list[subprocess.Popen[str]]:
    """The launchers of two machines, a process each."""
    how = ["--nnodes", "2", "--nproc-per-node", "1", "--master-port", str(find_port())]
    how += ["--master-addr", machines[0].address]
    what = [*program, "train", *(arguments or TRAIN)]
    return [m.launch(*how, "--node-rank", str(n), *what) for n, m in enumerate(machines)]


def find_port() -> int:
    """A port that is free."""
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
        return port


def kill(launcher: subprocess.Popen[str]) -> None:
    """All that a machine runs ends at once: torchrun's processes have sessions of their own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(launcher.pid)
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def end(launchers: list[subprocess.Popen[str]], seconds: float = 400) -> list[str]:
    """Waits for all of them, not for ever; what they said."""
    timer = threading.Timer(seconds, lambda: [kill(launcher) for launcher in launchers])
    timer.start()
    said = [launcher.communicate()[1] for launcher in launchers]
    timer.cancel()
    return said


def finish(launchers: list[subprocess.Popen[str]]) -> None:
    """Waits for all of them to do well."""
    said = end(launchers)
    assert not any(launcher.returncode for launcher in launchers), "\n".join(said)


def same(one: Path, two: Path) -> bool:
    """Whether two runs came to the same, bit for bit."""
    for name in ("last", "best", "state"):
        (a, said), (b, also) = (load_tensors(p / f"{name}.safetensors") for p in (one, two))
        if said != also or any(not torch.equal(a[key], b[key]) for key in a):
            return False
    return wr.Run.open(one).metrics.equals(wr.Run.open(two).metrics)


@pytest.fixture(scope="module")
def disk(phantoms: Path, phantom_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cache, its boxes, and the run of two processes on one machine."""
    folder = tmp_path_factory.mktemp("disk")
    shutil.copytree(phantom_cache, folder / "train.cache")
    cache = Cache.open(phantom_cache)
    truth = wr.read_boxes(phantoms / "train.csv", images=cache.index).consensus()
    truth.save(folder / "truth.parquet")
    how = ["--standalone", "--nproc-per-node", "2", "-m", "wetread", "train", *TRAIN]
    finish([Machine(folder).launch(*how)])
    (folder / "run").rename(folder / "expected")
    return folder


@pytest.fixture
def own_folders(disk: Path, tmp_path: Path) -> Pair:
    """Two machines on loopback, each with a copy of the cache on a disk of its own."""
    for name in ("one", "two"):
        shutil.copytree(disk, tmp_path / name, ignore=shutil.ignore_patterns("expected", "run"))
    return Machine(tmp_path / "one"), Machine(tmp_path / "two")


@pytest.fixture
def own_networks(disk: Path) -> Iterator[Pair]:
    """Two machines in networks of their own with a cable between them, and one disk."""
    if os.geteuid():
        pytest.skip("only root makes network namespaces")

    def ip(words: str) -> None:
        subprocess.run(["ip", *words.split()], check=True)

    names = [f"wetread-{os.getpid()}-{number}" for number in range(2)]
    try:
        for name in names:
            ip(f"netns add {name}")
        ip(f"link add cable netns {names[0]} type veth peer name cable netns {names[1]}")
        machines = []
        for number, name in enumerate(names, 1):
            ip(f"-n {name} addr add 10.77.0.{number}/24 dev cable")
            ip(f"-n {name} link set cable up")
            ip(f"-n {name} link set lo up")
            enter = ("ip", "netns", "exec", name)
            machines.append(Machine(disk, f"10.77.0.{number}", "cable", enter))
        yield machines[0], machines[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def interrupt(machines: Pair, victim: int, how: signal.Signals) -> list[str]:
    """What the launchers say when one is told to stop, or its machine is lost, after an epoch."""
    launchers = train(machines)
    state = wait_for_state(machines[0].disk / "run", launchers)
    if how == signal.SIGKILL:
        kill(launchers[victim])
    else:
        launchers[victim].send_signal(how)
    said = end(launchers)
    assert all(launcher.returncode for launcher in launchers)
    assert load_tensors(state)[1]["step"] < 6
    return said


def wait_for_state(run: Path, launchers: list[subprocess.Popen[str]]) -> Path:
    """Until an epoch is done."""
    state = run / "state.safetensors"
    deadline = time.monotonic() + 400
    while not state.exists():
        if time.monotonic() > deadline or any(launcher.poll() for launcher in launchers):
            pytest.fail("\n".join(end(launchers, 5)))
        time.sleep(0.002)
    return state


def test_a_machine_lost_with_its_own_disk(own_folders: Pair, disk: Path) -> None:
    said, _ = interrupt(own_folders, 1, signal.SIGKILL)
    assert "another process of the training has ended or does not respond" in said
    finish(train(own_folders))
    assert same(own_folders[0].disk / "run", disk / "expected")
    found = sorted(path.name for path in own_folders[1].disk.iterdir())
    assert found == ["train.cache", "truth.parquet"]


@pytest.mark.apt("iproute2", "ip")
def test_a_machine_told_to_stop_in_its_own_network(own_networks: Pair, disk: Path) -> None:
    interrupt(own_networks, 0, signal.SIGTERM)
    finish(train(own_networks))
    assert same(disk / "run", disk / "expected")


@pytest.mark.apt("iproute2", "ip")
def test_a_machine_that_falls_silent(own_networks: Pair, tmp_path: Path) -> None:
    """Its cable is cut: no connection is closed, and both give up after a while."""
    program = tmp_path / "impatient.py"
    program.write_text(
        "from datetime import timedelta\n"
        "from wetread.cli import main\n"
        "from wetread.learn import distributed\n"
        "distributed._TIMEOUT = timedelta(seconds=40)\n"
        "main()\n"
    )
    arguments = [*TRAIN[:2], "-o", "silent", *TRAIN[4:], "--steps", "1000"]
    launchers = train(own_networks, *arguments, program=(str(program),))
    wait_for_state(own_networks[0].disk / "silent", launchers)
    subprocess.run(["ip", "-n", own_networks[1].enter[-1], *CUT], check=True)
    said = end(launchers)
    assert all(launcher.returncode for launcher in launchers)  # torchrun itself may be the first
    assert any("ended or does not respond" in one for one in said), "\n".join(said)


def test_machines_that_have_not_the_same(own_folders: Pair, phantoms: Path) -> None:
    """Another cache on the second one; or an index, and no disk where both see it prepared."""
    one, two = (machine.disk for machine in own_folders)
    index = wr.scan(phantoms / "train", one / "train.index", workers=0, progress=False)
    shutil.copytree(one / "train.index", two / "train.index")
    shutil.rmtree(two / "train.cache")
    wr.prepare(index, two / "train.cache", 32, workers=1, progress=False)
    _, said = end(train(own_folders, *TRAIN[:4], "--size", "32"))
    assert "process 1 has split_hash" in said
    assert not (one / "run").exists()
    _, said = end(train(own_folders, "train.index", *TRAIN[1:]))
    assert "process 1 cannot find run, where the main process has prepared the images" in said


@pytest.mark.apt("dash", "sh")
@pytest.mark.apt("coreutils", "cp")
def test_the_example(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**ENVIRONMENT, "PATH": path, "PORT": str(find_port())}
    command = ["sh", str(EXAMPLE), str(tmp_path)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("held-out images") == 1
    run = wr.Run.open(tmp_path / "one" / "run")
    assert (run.config["world"], run.metrics["step"].max()) == (2, 6)
    assert not (tmp_path / "two" / "run").exists()
