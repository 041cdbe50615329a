"""Python processes forked from a server that has imported PyTorch, which takes seconds."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["torchvision", "wetread.cli.train", "wetread.learn.training"])


class Fork:
    """Forked process that executes Python code; its methods are those of `subprocess.Popen`.

    Args:
        code: source text.
        arguments: `sys.argv[1:]`.
        folder: working directory.
        environment: additional environment variables.
        namespace: network namespace of `ip netns` to enter; "" for that of the caller.
    """

    def __init__(
        self,
        code: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        namespace: str = "",
    ) -> None:
        file, log = tempfile.mkstemp(suffix=".log")
        os.close(file)
        self._log = Path(log)
        arguments, environment = list(arguments), dict(environment)
        self._process = _FORKS.Process(
            target=_execute, args=(code, arguments, folder, environment, namespace, self._log)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code; minus the signal that ended the process; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Exit code, None while the process runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; return "" and the text written to stdout and stderr, once."""
        self._process.join(timeout)
        text = self._log.read_text() if self._log.exists() else ""
        self._log.unlink(missing_ok=True)
        return "", text


def _execute(
    code: str,
    arguments: list[str],
    folder: Path,
    environment: dict[str, str],
    namespace: str,
    log: Path,
) -> None:
    """Execute code in this process."""
    if namespace:
        file = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        assert ctypes.CDLL(None).setns(file, 0) == 0
    os.chdir(folder)
    os.environ |= environment
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.argv[1:] = arguments
    warnings.simplefilter("ignore")
    exec(code, {"__name__": "__main__"})  # noqa: S102
