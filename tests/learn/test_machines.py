"""Training on two machines, simulated by folders or network namespaces; one may fail."""

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
from wetread.testing.forks import Fork

pytestmark = pytest.mark.timeout(900)  # processes that import PyTorch, also on a busy machine

TRAIN = ["train.cache", "truth.parquet", "-o", "run", "--size", "64", "--batch", "4"]
TRAIN += ["--epochs", "3", "-q"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(wr.__file__).parents[1]),
    "PYTHONWARNINGS": "ignore",
    "OMP_NUM_THREADS": "1",
}
MAIN = "from wetread.cli import main\nmain()"
CUT = ["link", "set", "cable", "down"]
EXAMPLE = Path(__file__).parents[2] / "examples" / "two_machines.sh"


@dataclass
class Machine:
    """Working folder of a machine, and its address for the other one."""

    disk: Path
    address: str = "127.0.0.1"
    interface: str = "lo"
    namespace: str = ""
    """Its network namespace."""


Pair = tuple[Machine, Machine]
Process = subprocess.Popen[str] | Fork


def train(machines: Pair, *arguments: str, code: str = MAIN) -> list[Process]:
    """Start one process per machine in the environment of torchrun, without its launcher."""
    world = {
        "MASTER_ADDR": machines[0].address,
        "MASTER_PORT": str(find_port()),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
    }
    command = ["train", *(arguments or TRAIN)]
    return [
        Fork(
            code,
            command,
            machine.disk,
            {**world, "RANK": str(number), "GLOO_SOCKET_IFNAME": machine.interface},
            machine.namespace,
        )
        for number, machine in enumerate(machines)
    ]


def launch(machines: Pair) -> list[Process]:
    """Start one launcher per machine."""
    options = ["--nnodes", "2", "--nproc-per-node", "1", "--master-port", str(find_port())]
    options += ["--master-addr", machines[0].address]
    run = [sys.executable, "-m", "torch.distributed.run", *options]
    enter, command = ["ip", "netns", "exec"], ["-m", "wetread", "train", *TRAIN]
    return [
        subprocess.Popen(
            [*enter, machine.namespace, *run, "--node-rank", str(number), *command],
            cwd=machine.disk,
            env={**ENVIRONMENT, "GLOO_SOCKET_IFNAME": machine.interface},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, machine in enumerate(machines)
    ]


def find_port() -> int:
    """A free port."""
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
        return port


def kill(process: Process) -> None:
    """Kill a process; of a launcher also the workers, which have sessions of their own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(process.pid)
        for one in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def end(processes: list[Process], seconds: float = 400) -> list[str]:
    """Wait for all processes, with a time limit; return their stderr."""
    timer = threading.Timer(seconds, lambda: [kill(process) for process in processes])
    timer.start()
    errors = [process.communicate()[1] for process in processes]
    assert timer.is_alive(), f"not ended after {seconds} s: {errors}"
    timer.cancel()
    return errors


def finish(processes: list[Process]) -> None:
    """Wait for all processes to succeed."""
    errors = end(processes)
    assert not any(process.returncode for process in processes), "\n".join(errors)


def same(one: Path, two: Path) -> bool:
    """True if two runs are equal bit for bit."""
    for name in ("last", "best", "state"):
        (a, one_data), (b, two_data) = (load_tensors(p / f"{name}.safetensors") for p in (one, two))
        if one_data != two_data or any(not torch.equal(a[key], b[key]) for key in a):
            return False
    return wr.Run.open(one).metrics.equals(wr.Run.open(two).metrics)


@pytest.fixture(scope="module")
def disk(phantoms: Path, phantom_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a cache, its boxes, and the run of two processes on one machine."""
    folder = tmp_path_factory.mktemp("disk")
    shutil.copytree(phantom_cache, folder / "train.cache")
    cache = Cache.open(phantom_cache)
    truth = wr.read_boxes(phantoms / "train.csv", images=cache.index).consensus()
    truth.save(folder / "truth.parquet")
    finish(train((Machine(folder), Machine(folder))))
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
    """Two machines in network namespaces connected by a cable, with one disk."""
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
            machines.append(Machine(disk, f"10.77.0.{number}", "cable", name))
        yield machines[0], machines[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def wait_for_state(run: Path, processes: list[Process]) -> Path:
    """Wait until an epoch is finished."""
    state = run / "state.safetensors"
    deadline = time.monotonic() + 400
    while not state.exists():
        if time.monotonic() > deadline or any(process.poll() for process in processes):
            pytest.fail("\n".join(end(processes, 5)))
        time.sleep(0.002)
    return state


def test_lost_machine_with_its_own_disk(own_folders: Pair, disk: Path) -> None:
    processes = train(own_folders)
    state = wait_for_state(own_folders[0].disk / "run", processes)
    processes[1].kill()
    errors, _ = end(processes)
    assert "another process of the training has ended or does not respond" in errors
    assert load_tensors(state)[1]["step"] < 6
    finish(train(own_folders))
    assert same(own_folders[0].disk / "run", disk / "expected")
    found = sorted(path.name for path in own_folders[1].disk.iterdir())
    assert found == ["train.cache", "truth.parquet"]


@pytest.mark.apt("iproute2", "ip")
def test_terminated_machine_in_its_own_network(own_networks: Pair, disk: Path) -> None:
    launchers = launch(own_networks)
    state = wait_for_state(disk / "run", launchers)
    launchers[0].send_signal(signal.SIGTERM)
    end(launchers)
    assert all(launcher.returncode for launcher in launchers)
    assert load_tensors(state)[1]["step"] < 6
    finish(train(own_networks))
    assert same(disk / "run", disk / "expected")


@pytest.mark.apt("iproute2", "ip")
def test_unresponsive_machine(own_networks: Pair) -> None:
    """The cable is cut: no connection is closed, and both give up after a while."""
    code = (
        "from datetime import timedelta\n"
        "from wetread.learn import distributed\n"
        f"distributed._TIMEOUT = timedelta(seconds=40)\n{MAIN}"
    )
    arguments = [*TRAIN[:2], "-o", "silent", *TRAIN[4:], "--epochs", "500"]
    processes = train(own_networks, *arguments, code=code)
    wait_for_state(own_networks[0].disk / "silent", processes)
    subprocess.run(["ip", "-n", own_networks[1].namespace, *CUT], check=True)
    errors = end(processes)
    assert all(process.returncode for process in processes)
    assert any("ended or does not respond" in error for error in errors), "\n".join(errors)


def test_machines_with_different_data(own_folders: Pair, phantoms: Path) -> None:
    """Another cache on the second one; or an index, and no shared disk."""
    one, two = (machine.disk for machine in own_folders)
    index = wr.scan(phantoms / "train", one / "train.index", workers=0, progress=False)
    shutil.copytree(one / "train.index", two / "train.index")
    shutil.rmtree(two / "train.cache")
    wr.prepare(index, two / "train.cache", 32, workers=1, progress=False)
    main, other = end(train(own_folders, *TRAIN[:4], "--size", "32"))
    assert "another process of the training has ended" in main
    assert "process 1 has split_hash" in other
    assert not (one / "run").exists()
    main, other = end(train(own_folders, "train.index", *TRAIN[1:]))
    assert "another process of the training has ended" in main
    assert "process 1 cannot find run, where the main process has prepared the images" in other


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
