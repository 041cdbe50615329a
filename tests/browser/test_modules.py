"""JavaScript modules in Node.js: unit tests, types, and Python as reference."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wetread.boxes.iou import overlap_pairs
from wetread.display.pipeline import Pipeline, Window
from wetread.display.render import make_table
from wetread.viewer.encoding import pack

pytestmark = pytest.mark.apt("nodejs", "node")

HERE = Path(__file__).parent
STATIC = HERE.parents[1] / "src" / "wetread" / "viewer" / "static"
TYPES = "typescript@5.9"


def node(script: str, given: Any) -> Any:
    """Run a script with JSON on stdin and the modules as `$name`; returns its JSON output."""
    for path in STATIC.glob("*.js"):
        script = script.replace(f'"${path.stem}"', json.dumps(path.as_uri()))
    head = 'import {readFileSync} from "node:fs"; const given = JSON.parse(readFileSync(0));\n'
    command = ["node", "--input-type=module", "--eval", head + script]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_pure_modules() -> None:
    done = subprocess.run(
        ["node", "--test", str(HERE / "pure.test.mjs")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.apt("npm", "npx")
def test_types(tmp_path: Path) -> None:
    """`tsc --checkJs --strict` reports no errors."""
    command = ["npx", "--yes", "--package", TYPES, "tsc", "--allowJs", "--checkJs", "--noEmit"]
    command += ["--strict", "--target", "es2023", "--module", "esnext"]
    command += ["--moduleResolution", "bundler", "--lib", "es2023,dom,dom.iterable"]
    command += map(str, STATIC.glob("*.js"))
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_tables_equal_those_of_display() -> None:
    """Look-up tables of 1,000 chains and windows, with edge cases."""
    rng = np.random.default_rng(0)
    cases, expected = [], []
    for i in range(1000):
        dtype = str(rng.choice(["uint8", "int8", "uint16", "int16"]))
        function = ("LINEAR", "LINEAR_EXACT", "SIGMOID")[i % 3]
        width = float(rng.choice([0, 0.5, 1, 1.5, 2, 255, 4096.7, 1e-3, 1e6, rng.uniform(1, 5e4)]))
        window = Window(float(np.round(rng.uniform(-3000, 70000), i % 4)), width, function)
        padding = (float(rng.integers(-9, 99)), 120.0) if i % 5 == 0 else None
        chain = Pipeline(
            "MONOCHROME2",
            "CT",
            slope=float(rng.choice([1, -1, 0.5, 1.37, 1e-4])),
            intercept=float(rng.choice([0, -1024, 0.25])),
            invert=bool(i % 2),
            padding=padding,
        )
        cases.append(
            {
                "dtype": dtype,
                "chain": {
                    "slope": chain.slope,
                    "intercept": chain.intercept,
                    "invert": chain.invert,
                    "padding": padding,
                },
                "window": {"center": window.center, "width": width, "function": function},
            }
        )
        table = make_table(np.dtype(dtype), chain, window)
        expected.append(hashlib.sha1(table.tobytes()).hexdigest())
    script = """
        import {createHash} from "node:crypto";
        const {makeTable} = await import("$lut");
        const sums = given.map(({dtype, chain, window}) =>
            createHash("sha1").update(makeTable(dtype, chain, window)).digest("hex"));
        console.log(JSON.stringify(sums));
    """
    found = node(script, cases)
    assert [case for case, a, b in zip(cases, found, expected, strict=True) if a != b] == []


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_decode_inverts_pack(dtype: str) -> None:
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(1)
    values = rng.integers(limits.min, limits.max, (23, 37), dtype, endpoint=True)
    script = """
        const {decode} = await import("$decode");
        const plane = decode(Uint8Array.from(given.bytes), 23, 37, given.dtype, 1, 0);
        console.log(JSON.stringify([...plane.data]));
    """
    found = node(script, {"bytes": list(pack(values)), "dtype": dtype})
    assert found == values.ravel().tolist()


def test_matching_equals_brute_force() -> None:
    """TP, FP and FN of 300 images equal those of a plain implementation."""
    rng = np.random.default_rng(2)
    cases = [
        {
            "truth": random_boxes(rng, int(rng.integers(0, 7))),
            "found": random_boxes(rng, int(rng.integers(0, 9))),
            "iou": float(rng.choice([0.1, 0.4, 0.5])),
            "score": float(rng.choice([0.0, 0.5])),
        }
        for _ in range(300)
    ]
    script = """
        const {judge} = await import("$match");
        console.log(JSON.stringify(given.map(({truth, found, iou, score}) => {
            const {tp, fp, fn} = judge(truth, found, iou, score);
            return [tp, fp, fn];
        })));
    """
    assert node(script, cases) == [brute_force(**case) for case in cases]


def random_boxes(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    start, side = rng.integers(0, 20, (count, 2)), rng.integers(5, 25, (count, 2))
    return [
        {
            "label": str(rng.choice(["a", "b"])),
            "x0": float(x),
            "y0": float(y),
            "x1": float(x + w),
            "y1": float(y + h),
            "score": float(np.round(rng.uniform(0, 1), 3)),
        }
        for (x, y), (w, h) in zip(start, side, strict=True)
    ]


def brute_force(truth: Any, found: Any, iou: float, score: float) -> list[int]:
    free, tp, fp = list(truth), 0, 0
    for box in sorted((f for f in found if f["score"] >= score), key=lambda f: -f["score"]):
        fits = [(overlap(t, box), t) for t in free if t["label"] == box["label"]]
        best = max(fits, key=lambda fit: fit[0], default=(0.0, None))
        if best[0] >= iou:
            free.remove(best[1])
            tp += 1
        else:
            fp += 1
    return [tp, fp, len(free)]


def overlap(a: Any, b: Any) -> float:
    corners = [np.array([[box[c] for c in ("x0", "y0", "x1", "y1")]]) for box in (a, b)]
    return float(overlap_pairs(*corners)[0])
