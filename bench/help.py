"""Start-up time of `wetread --help`, without that of the interpreter.

python bench/help.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from figures import Figure, save, tabulate

START = "python -c pass"
COMMANDS = {
    START: ["-c", "pass"],
    "import wetread": ["-c", "import wetread"],
    "wetread --help": ["-m", "wetread", "--help"],
}


def seconds_of(arguments: list[str]) -> float:
    """One run of the interpreter."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(options.rounds + 1):
        for name, arguments in COMMANDS.items():
            seconds = seconds_of(arguments)
            if number:  # the first fills the page cache
                took[name].append(seconds)
    start = median(took.pop(START))
    figures = [
        Figure(f"`{name}`, without interpreter start-up", 1000 * (median(s) - start), "ms")
        for name, s in took.items()
    ]
    save(options.json, figures, {START: start, **took})
    print("\n".join(tabulate(figures)))


if __name__ == "__main__":
    main()
