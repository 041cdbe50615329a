"""How long `wetread --help` takes beyond the interpreter's own start.

python bench/help.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

COMMANDS = {
    "python -c pass": ["-c", "pass"],
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
    parser.add_argument("--json", type=Path, help="write the numbers there")
    options = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(options.rounds + 1):
        for name, arguments in COMMANDS.items():
            seconds = seconds_of(arguments)
            if number:  # the first fills the page cache
                took[name].append(seconds)
    if options.json:
        options.json.write_text(json.dumps(took, indent=1))
    start = median(took["python -c pass"])
    print("| | s, median | minimum | beyond the interpreter's start |\n|---|---:|---:|---:|")
    for name, seconds in took.items():
        middle = median(seconds)
        print(f"| `{name}` | {middle:.3f} | {min(seconds):.3f} | {middle - start:.3f} |")


if __name__ == "__main__":
    main()
