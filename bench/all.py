"""Run all benchmarks, each in its own process; write docs/benchmarks.md and README's table.

    python bench/all.py                     # all but the long ones
    python bench/all.py --long              # also a million files and COCO intervals
    python bench/all.py --only learn.py     # one benchmark; the other results are kept
    python bench/all.py --quick --to FOLDER # smoke run, meaningless figures
    python bench/all.py --page              # run nothing, rewrite the pages

Results are stored in docs/benchmarks.json. A failed benchmark is reported on the page.
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

from figures import Figure, name_version, show, tabulate

ROOT = Path(__file__).resolve().parents[1]
DOCS, README = ROOT / "docs", ROOT / "README.md"
LONGEST = 1200
"""Time limit of a benchmark in seconds; three times as long for a long one."""
TOUCHED = 0.8
"""Part of the available memory that is written once before the first benchmark."""
PACKAGES = (
    *("wetread", "numpy", "pandas", "pyarrow", "duckdb", "pydicom", "imagecodecs", "torch"),
    *("torchvision", "fastai", "fastdicom", "dicomsdl", "fw-file-rs", "faster-coco-eval"),
    *("ensemble-boxes", "highdicom", "simpleitk", "dcm2niix", "nibabel", "obstore", "playwright"),
)


class Bench(NamedTuple):
    """Command of a benchmark, and its options for a smoke run."""

    title: str
    command: str
    quick: str
    long: bool = False


BENCHES = (
    Bench("Headers", "scan.py", "--scale 0.02 --rounds 1"),
    Bench("An index of 200,000 files", "million.py --files 200000", "--files 3000"),
    Bench("An index of a million files", "million.py", "--files 3000", long=True),
    Bench("Series and volumes", "series.py", "--series 40 --slices 8 --rounds 1"),
    Bench("Files and objects: how it grows", "scale.py", "--scale 0.02"),
    Bench("Files and objects, up to a million", "scale.py --million", "--scale 0.002", long=True),
    Bench("Pixels", "pixels.py", "--scale 0.05"),
    Bench("The drop-in for fastai", "drop_in.py", "--scale 0.01 --rounds 1"),
    Bench("An epoch", "learn.py", "--images 8 --distinct 2 --side 512 --rounds 1"),
    Bench("Training on phantoms", "train.py", "--images 24 --size 64 --epochs 2"),
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
        "mixed real files into an index, one thread per core",
    ),
    ("pixels.py", "display", "pydicom", "display of a 16-bit radiograph, 3.6 MP"),
    ("drop_in.py", "`from_dicoms` of 1,000", "fastai", "fastai tutorial: `from_dicoms`, per file"),
    ("learn.py", "an epoch", "fastai", "training epoch, 2560-pixel radiographs at 512"),
    ("judge.py", "`voc2010@0.4`", "faster", "VOC 2010, 15,000 images, 150,000 boxes, CPU time"),
    ("viewer.py", "first preview", "", "first preview in the viewer, JPEG 2000, 8 MP"),
)
"""Rows of README's table: command, prefixes of figure and peer, label."""
INTRODUCTION = """\
Written by `python bench/all.py`; the [methods](../bench/README.md) describe each benchmark. Data
set (a) holds synthetic radiographs in the form of VinBigData, (b) mixed real files.
Compare ratios rather than times: both contenders ran on the same machine, in turn. Goals were set
before the first measurement. Tests with damaged files: [reliability](reliability.md).
""".splitlines()
SMOKE = "Smoke run: the figures are meaningless."
BUSY = "The machine was busy: times are too long, ratios uncertain."
MARKS = ("<!-- figures: written by bench/all.py -->\n", "<!-- end of figures -->\n")


def touch_memory() -> None:
    """Write most of the memory once: the host of a virtual machine provides pages at first use."""
    (line,) = (x for x in read("/proc/meminfo") if x.startswith("MemAvailable"))
    size = int(TOUCHED * 1024 * int(line.split()[1]))
    subprocess.run([sys.executable, "-c", f"size = {size}; b'1' * size"], check=True)


def run(bench: Bench, *, quick: bool = False) -> dict[str, Any]:
    """Run a benchmark; return its record: figures and tables, or the reason for a failure."""
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
        output = out.read_text()
        figures = [] if failed else read_figures(script, found, output)
    return {
        "title": bench.title,
        "command": " ".join(["python", f"bench/{script}", *command]),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "seconds": round(time.monotonic() - begun),
        "figures": [asdict(one) for one in figures],
        "tables": tables(output) if script in OTHERS else [],
        "failed": failed,
    }


def wait(process: subprocess.Popen[bytes], seconds: float) -> str:
    """Wait for a process and kill its group; return the reason of a failure, "" for success."""
    try:
        return "ended" if process.wait(seconds) else ""
    except subprocess.TimeoutExpired:
        return f"took longer than {seconds / 60:.0f} minutes"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def read_figures(script: str, found: Path, output: str) -> list[Figure]:
    measured = json.loads(found.read_text() if found.exists() else output)
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
        times = {
            name: 1000 * median(times)
            for name, times in rows["took"].items()
            if name.startswith(("filter", "search", "facet"))
        }
        slowest = max(times, key=times.__getitem__)
        name = f"the slowest filter, search or facet over {rows['rows']:,} rows"
        figures.append(Figure(name, times[slowest], "ms", most=500, note=slowest))
    return figures


def read_browser(measured: dict[str, Any]) -> list[Figure]:
    goals = {"pixels (ms)": 500, "drag (ms)": 20, "first slice, pixels (ms)": 150}
    names = {
        "first slice, pixels (ms)": "from the address of a CT of 275 slices to its first values",
        "preview (ms)": "from the key to the preview of the next image",
        "pixels (ms)": "from the key to its 16-bit values",
        "drag (ms)": "a step of a window drag: the main thread's work",
        "drag, wall (ms)": "a step of a window drag: from step to step",
    }
    return [
        Figure(names.get(key, key), value, "ms", most=goals.get(key))
        for key, value in measured.items()
        if key.endswith("(ms)")
    ] + [
        Figure("slices of the CT per second, wheel", measured[key], "/s", least=20)
        for key in ("slices per second",)
        if key in measured
    ]


OTHERS = {"scale.py": read_scale, "viewer.py": read_viewer, "viewer_browser.py": read_browser}
"""Benchmarks whose `--json` has no figures; their printed tables are shown as well."""


def tables(output: str) -> list[str]:
    """Markdown tables in the output of a benchmark, with the line above each."""
    lines = output.splitlines()
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


def make_page(results: dict[str, Any]) -> str:
    """Text of docs/benchmarks.md."""
    records = results["benches"]
    figures_of = {r["command"]: [Figure(**one) for one in r["figures"]] for r in records.values()}
    all_ = [one for figures in figures_of.values() for one in figures]
    missed = [one for one in all_ if one.reached is False]
    lines = [
        "# Benchmarks",
        "",
        *INTRODUCTION,
        "",
        *([f"**{SMOKE}**", ""] if results["quick"] else []),
        *([f"**{BUSY}**", ""] if results["load"] > 1 else []),
        "| machine | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in results["machine"].items()),
        f"| versions | Python {results['python']}, {', '.join(results['versions'])} |",
        "",
        "## What was not reached",
        *(list_missed(missed, all_)),
    ]
    for record in records.values():
        took = f"{record['date']}, {record['seconds']} s"
        lines += ["", f"## {record['title']}", f"`{record['command']}` ({took})", ""]
        lines += [f"**No figures: it {record['failed']}.**"] if record["failed"] else []
        lines += tabulate(figures_of[record["command"]]) if figures_of[record["command"]] else []
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
        value = show(one.ratio, "x") if one.peer and one.least else show(one.value, one.unit)
        other = f", {one.peer}" if one.peer else ""
        why = f": {one.why}" if one.why else ""
        lines.append(f"- {one.name}{other}: {value} (goal: {one.goal}){why}.")
    return lines


def make_front(results: dict[str, Any]) -> str:
    """Table of README."""
    lines = ["| | wetread | compared with | ratio |", "|---|---:|---:|---:|"]
    for command, name, peer, label in FRONT:
        record = results["benches"].get(command, {"figures": []})
        figures = (Figure(**one) for one in record["figures"])
        one = next(
            (f for f in figures if f.name.startswith(name) and f.peer.startswith(peer)), None
        )
        if one is None:
            lines.append(f"| {label} | not measured | | |")
            continue
        other = f"{one.peer.split(',')[0]}: {show(one.other, one.unit)}" if one.other else ""
        cells = (label, show(one.value, one.unit), other, show(one.ratio, "x"))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", BUSY] if results["load"] > 1 else []
    return "\n".join([*lines, ""])


def put_front(text: str, table: str) -> str:
    """Insert the table between the marks of a page."""
    before, rest = text.split(MARKS[0])
    return before + MARKS[0] + table + MARKS[1] + rest.split(MARKS[1])[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="include benchmarks of an hour")
    parser.add_argument("--quick", action="store_true", help="smoke run; needs --to")
    parser.add_argument("--only", nargs="+", default=[], help="commands of benchmarks to run")
    parser.add_argument("--page", action="store_true", help="run nothing, write the pages")
    parser.add_argument("--to", type=Path, default=DOCS, help="output folder of the page")
    options = parser.parse_args()
    if options.quick and options.to == DOCS:
        parser.error("--quick gives meaningless figures: add --to FOLDER")
    stored = options.to / "benchmarks.json"
    results = json.loads(stored.read_text()) if stored.exists() else {"benches": {}}
    if not options.page:
        results |= {
            "quick": options.quick,
            "machine": describe_machine(),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
            "versions": [name_version(name) for name in PACKAGES],
        }
    if not options.page and not options.quick:
        touch_memory()
    done = dict(results["benches"])
    for bench in BENCHES:
        selected = bench.command in options.only
        if not options.only or bench.command.split()[0] in options.only:
            selected |= options.long or not bench.long
        if selected and not options.page:
            print(f"{bench.command} ...", end=" ", file=sys.stderr, flush=True)
            done[bench.command] = record = run(bench, quick=options.quick)
            print(record["failed"] or f"{record['seconds']} s", file=sys.stderr)
            results["benches"] = {b.command: done[b.command] for b in BENCHES if b.command in done}
            stored.write_text(json.dumps(results, indent=1) + "\n")
    (options.to / "benchmarks.md").write_text(make_page(results))
    if options.to == DOCS:
        README.write_text(put_front(README.read_text(), make_front(results)))


if __name__ == "__main__":
    main()
