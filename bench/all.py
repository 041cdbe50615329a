"""Runs every bench, each as a process of its own, and writes docs/benchmarks.md and README's table.

    python bench/all.py                     # all but the long ones
    python bench/all.py --long              # those too: a million files, intervals of COCO
    python bench/all.py --only learn.py     # again; what the others gave is kept
    python bench/all.py --quick --to FOLDER # does everything run? The figures mean nothing
    python bench/all.py --page              # nothing is run, the pages are written anew

What was measured is kept in docs/benchmarks.json. A bench that fails leaves a line that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from figures import Figure, name_version, tabulate, tell

ROOT = Path(__file__).resolve().parents[1]
DOCS, README = ROOT / "docs", ROOT / "README.md"
LONGEST = 1200
"""Seconds that a bench may take; three times as many for a long one."""
PACKAGES = (
    *("wetread", "numpy", "pandas", "pyarrow", "duckdb", "pydicom", "imagecodecs", "torch"),
    *("torchvision", "fastai", "fastdicom", "dicomsdl", "fw-file-rs", "faster-coco-eval"),
    *("ensemble-boxes", "highdicom", "obstore", "playwright"),
)


class Bench(NamedTuple):
    """A command, and what makes it a smoke run."""

    title: str
    command: str
    quick: str
    long: bool = False


BENCHES = (
    Bench("Headers", "scan.py", "--scale 0.02 --rounds 1"),
    Bench("An index of 200,000 files", "million.py --files 200000", "--files 3000"),
    Bench("An index of a million files", "million.py", "--files 3000", long=True),
    Bench("Files and objects: how it grows", "scale.py", "--scale 0.02"),
    Bench("Files and objects, up to a million", "scale.py --million", "--scale 0.002", long=True),
    Bench("Pixels", "pixels.py", "--scale 0.05"),
    Bench("The drop-in for fastai", "drop_in.py", "--scale 0.01 --rounds 1"),
    Bench("An epoch", "learn.py", "--images 8 --distinct 2 --side 512 --rounds 1"),
    Bench("Training on phantoms", "train.py", "--images 24 --size 64 --steps 4"),
    Bench("Scores", "judge.py", "--images 200 --rounds 1 --resamples 20"),
    Bench(
        "Scores, with intervals of COCO", "judge.py --long", "--images 100 --rounds 1", long=True
    ),
    Bench("Boxes", "boxes.py", "--images 200 --rounds 1"),
    Bench("The viewer", "viewer.py", "--scale 0.02 --rounds 2"),
    Bench("The viewer in a browser", "viewer_browser.py", "--size 512 --repeat 1"),
    Bench("The start of the command", "help.py", "--rounds 3"),
)
FRONT = (
    ("scan.py", "(a): headers", "pydicom", "radiograph headers, 17 elements, per file"),
    ("scan.py", "(b): headers", "pydicom", "headers of mixed real files, per file"),
    (
        "million.py --files 200000",
        "200,000 files of (b) into",
        "",
        "mixed real files into an index, one worker per core",
    ),
    ("pixels.py", "display", "pydicom", "display of a 16-bit radiograph, 3.6 MP"),
    ("drop_in.py", "`from_dicoms` of 1,000", "fastai", "fastai tutorial: `from_dicoms`, per file"),
    ("learn.py", "an epoch", "fastai", "training epoch, 2560-pixel radiographs at 512"),
    ("judge.py", "`voc2010@0.4`", "faster", "VOC 2010, 15,000 images, 150,000 boxes, CPU time"),
    ("viewer.py", "first preview", "", "first preview in the viewer, JPEG 2000, 8 MP"),
)
"""README's rows: of which bench, how the figure and its peer begin, and what to call it there."""
INTRODUCTION = """\
Written by `python bench/all.py`; the [methods](../bench/README.md) describe each benchmark. Data
set (a) holds synthetic radiographs in the form of VinBigData, (b) mixed real files.
Compare ratios rather than times: both contenders ran on the same machine, in turn. Goals were set
before the first measurement. Tests with damaged files: [reliability](reliability.md).
""".splitlines()
SMOKE = "Smoke run: the figures are meaningless."
BUSY = "The machine was busy: times are too long, ratios uncertain."
MARKS = ("<!-- figures: written by bench/all.py -->\n", "<!-- end of figures -->\n")


def run(bench: Bench, *, quick: bool = False) -> dict[str, Any]:
    """What a bench gave: its figures and what it printed, or why there are none."""
    script, *options = bench.command.split()
    command = [*options, *bench.quick.split()] if quick else options
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wetread-bench-") as folder:
        found, out = Path(folder) / "found.json", Path(folder) / "out"
        written = [] if script == "viewer_browser.py" else ["--json", str(found)]
        with out.open("w") as stdout, (Path(folder) / "err").open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "bench" / script), *command, *written],
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            failed = wait(process, LONGEST * (3 if bench.long else 1))
        if failed == "ended":
            lines = (Path(folder) / "err").read_text().strip().splitlines() or [""]
            last = lines[-1].replace(sys.executable, "python").replace(f"{ROOT}/", "")
            failed = f"ended with {process.returncode}: {last.replace(folder, 'FOLDER')}"
        said = out.read_text()
        figures = [] if failed else read_figures(script, found, said)
    return {
        "title": bench.title,
        "command": " ".join(["python", f"bench/{script}", *command]),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "seconds": round(time.monotonic() - begun),
        "figures": [asdict(one) for one in figures],
        "tables": tables(said) if script in OTHERS else [],
        "failed": failed,
    }


def wait(process: subprocess.Popen[bytes], seconds: float) -> str:
    """Why a process failed; nothing if it did not. What it started goes with it."""
    try:
        return "ended" if process.wait(seconds) else ""
    except subprocess.TimeoutExpired:
        return f"took longer than {seconds / 60:.0f} minutes"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def read_figures(script: str, found: Path, said: str) -> list[Figure]:
    measured = json.loads(found.read_text() if found.exists() else said)
    if "figures" in measured:
        return [Figure(**one) for one in measured["figures"]]
    return OTHERS[script](measured)


def read_scale(measured: dict[str, Any]) -> list[Figure]:
    figures = [
        Figure(f"{one['files']:,} files of (b) into an index", one["per_second"], "files/s")
        for one in measured["files"]
    ]
    for one in measured["stores"]:
        name = f"a store on loopback, {one['store']}"
        waits = {"least": 50} if one["store"].endswith(" 50 ms") else {}
        figures += [
            Figure(
                f"{name}: headers",
                one["scan"],
                "headers/s",
                note=f"requests only: {one['limit']:,.0f}/s",
            ),
            Figure(f"{name}: against one request at a time", one["ratio"], "x", **waits),
        ]
    return figures


def read_viewer(measured: dict[str, Any]) -> list[Figure]:
    figures = []
    if images := measured.get("images"):
        took = {name: 1000 * median(times) for name, times in images["took"].items()}
        peer = images["dcmview"]
        size = "{} x {} JPEG 2000".format(*images["size"])
        for name, most in (("first preview", 150), ("48 thumbnails, 4 at a time", 3000)):
            theirs = peer.get(name) if isinstance(peer, dict) else None
            figures.append(
                Figure(
                    f"{name}, {size}",
                    took[name],
                    "ms",
                    peer="dcmview-py",
                    other=1000 * median(theirs) if theirs else None,
                    most=most,
                    note="" if isinstance(peer, dict) else peer or "dcmview-py is not installed",
                )
            )
    if rows := measured.get("rows"):
        asked = {
            name: 1000 * median(times)
            for name, times in rows["took"].items()
            if name.startswith(("filter", "search", "facet"))
        }
        slowest = max(asked, key=asked.__getitem__)
        name = f"the slowest filter, search or facet over {rows['rows']:,} rows"
        figures.append(Figure(name, asked[slowest], "ms", most=500, note=slowest))
    return figures


def read_browser(measured: dict[str, Any]) -> list[Figure]:
    goals = {"pixels (ms)": 500, "drag (ms)": 20}
    names = {
        "preview (ms)": "from the key to the preview of the next image",
        "pixels (ms)": "from the key to its 16-bit values",
        "drag (ms)": "a step of a window drag: the main thread's work",
        "drag, wall (ms)": "a step of a window drag: from step to step",
    }
    return [
        Figure(names.get(key, key), value, "ms", most=goals.get(key))
        for key, value in measured.items()
        if key.endswith("(ms)")
    ]


OTHERS = {"scale.py": read_scale, "viewer.py": read_viewer, "viewer_browser.py": read_browser}
"""Benches whose `--json` holds no figures; their own tables are shown as well."""


def tables(said: str) -> list[str]:
    """The Markdown tables of what a bench printed, with the line above each."""
    lines = said.splitlines()
    return [
        line
        for line, after in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("|") or after.startswith("|") or not line
    ]


def describe_machine() -> dict[str, str]:
    cpu = [x.partition(": ")[2] for x in read("/proc/cpuinfo") if x.startswith("model name")]
    memory = next((int(x.split()[1]) for x in read("/proc/meminfo")), 0)
    return {
        "cores": f"{os.cpu_count()}",
        "CPU": cpu[0] if cpu else platform.machine(),
        "memory": f"{memory / 2**20:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
    }


def read(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def make_page(said: dict[str, Any]) -> str:
    """docs/benchmarks.md."""
    records = said["benches"]
    made = {r["command"]: [Figure(**one) for one in r["figures"]] for r in records.values()}
    all_ = [one for figures in made.values() for one in figures]
    missed = [one for one in all_ if one.reached is False]
    lines = [
        "# Benchmarks",
        "",
        *INTRODUCTION,
        "",
        *([f"**{SMOKE}**", ""] if said["quick"] else []),
        *([f"**{BUSY}**", ""] if said["load"] > 1 else []),
        "| machine | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in said["machine"].items()),
        f"| versions | Python {said['python']}, {', '.join(said['versions'])} |",
        "",
        "## What was not reached",
        *(list_missed(missed, all_)),
    ]
    for record in records.values():
        took = f"{record['date']}, {record['seconds']} s"
        lines += ["", f"## {record['title']}", f"`{record['command']}` ({took})", ""]
        lines += [f"**No figures: it {record['failed']}.**"] if record["failed"] else []
        lines += tabulate(made[record["command"]]) if made[record["command"]] else []
        lines += ["", *record["tables"]] if record["tables"] else []
    if left := [f"`python bench/{b.command}`" for b in BENCHES if b.command not in records]:
        lines += ["", "## What was not run", f"{', '.join(left)}."]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def list_missed(missed: list[Figure], all_: list[Figure]) -> list[str]:
    if not missed:
        return ["Every goal that was measured was reached."]
    goals = sum(one.reached is not None for one in all_)
    lines = [f"{len(missed)} of {goals} goals:", ""]
    for one in missed:
        value = tell(one.ratio, "x") if one.peer and one.least else tell(one.value, one.unit)
        beside = f", {one.peer}" if one.peer else ""
        why = f": {one.why}" if one.why else ""
        lines.append(f"- {one.name}{beside}: {value} (goal: {one.goal}){why}.")
    return lines


def make_front(said: dict[str, Any]) -> str:
    """README's table."""
    lines = ["| | wetread | compared with | ratio |", "|---|---:|---:|---:|"]
    for command, name, peer, label in FRONT:
        record = said["benches"].get(command, {"figures": []})
        figures = (Figure(**one) for one in record["figures"])
        one = next(
            (f for f in figures if f.name.startswith(name) and f.peer.startswith(peer)), None
        )
        if one is None:
            lines.append(f"| {label} | not measured | | |")
            continue
        beside = f"{one.peer.split(',')[0]}: {tell(one.other, one.unit)}" if one.other else ""
        cells = (label, tell(one.value, one.unit), beside, tell(one.ratio, "x"))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", BUSY] if said["load"] > 1 else []
    return "\n".join([*lines, ""])


def put_front(text: str, table: str) -> str:
    """A page with the table between its marks."""
    before, rest = text.split(MARKS[0])
    return before + MARKS[0] + table + MARKS[1] + rest.split(MARKS[1])[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="also what takes an hour")
    parser.add_argument("--quick", action="store_true", help="a smoke run; needs --to")
    parser.add_argument("--only", nargs="+", default=[], help="commands, as they are listed")
    parser.add_argument("--page", action="store_true", help="run nothing, write the pages")
    parser.add_argument("--to", type=Path, default=DOCS, help="the folder of the page")
    asked = parser.parse_args()
    if asked.quick and asked.to == DOCS:
        parser.error("--quick means nothing in docs/: say --to FOLDER")
    kept = asked.to / "benchmarks.json"
    said = json.loads(kept.read_text()) if kept.exists() else {"benches": {}}
    if not asked.page:
        said |= {
            "quick": asked.quick,
            "machine": describe_machine(),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
            "versions": [name_version(name) for name in PACKAGES],
        }
    done = dict(said["benches"])
    for bench in BENCHES:
        wanted = bench.command in asked.only
        if not asked.only or bench.command.split()[0] in asked.only:
            wanted |= asked.long or not bench.long
        if wanted and not asked.page:
            print(f"{bench.command} ...", end=" ", file=sys.stderr, flush=True)
            done[bench.command] = record = run(bench, quick=asked.quick)
            print(record["failed"] or f"{record['seconds']} s", file=sys.stderr)
            said["benches"] = {b.command: done[b.command] for b in BENCHES if b.command in done}
            kept.write_text(json.dumps(said, indent=1) + "\n")
    (asked.to / "benchmarks.md").write_text(make_page(said))
    if asked.to == DOCS:
        README.write_text(put_front(README.read_text(), make_front(said)))


if __name__ == "__main__":
    main()
