"""Division of one irregular series into stacks of slices, and the problems of its slices.

A stack is one orientation, one matrix and one pixel spacing. It is divided further only if
positions repeat, by the first attribute that cuts the repeats into sets with the same positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.common.text import counted
from wetread.series.checks import Problem, check_stack
from wetread.series.copies import ALL_COMPARED
from wetread.series.slices import Bools, Floats, Ints, Slices, cross
from wetread.settings import Settings

DIVIDERS = (
    "AcquisitionNumber",
    "EchoTime",
    "EffectiveEchoTime",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "b_value",
    "DiffusionGradientOrientation",
    "TriggerTime",
    "NominalPercentageOfCardiacPhase",
    "ImageType",
    "ContentTime",
)
"""Attributes that divide a stack in which positions repeat, by precedence."""
_TIMES = DIVIDERS[1:9]
"""Attributes of a dynamic series; if one explains the acquisitions, they are not mixed."""
_FEW = 3
"""Fewer slices are not a volume of their own where they fill a gap of another stack."""
_ALIKE = float(np.cos(np.radians(10)))
"""Cosine of the largest angle between the normals of slices that may belong together."""
_APART = 0.1
"""Least distance of two positions, as a fraction of the slice distance."""
_MOST_ORIENTATIONS = 1000
"""Distinct orientations of which each is compared with each other; also most clusters."""

Compare = Callable[[Ints, int], list[str]]
"""Compare pairs of slices at one position, (pairs, 2): "" for equal pixels, else the reason.

The second argument is the number of pairs, at the end, that are copies by UID, header and size.
"""


@dataclass
class Stack:
    """Slices of one stack, in order of position."""

    slices: Ints
    """Numbers of the slices in the order of `depth`; without copies."""
    depth: Floats
    """Projection of the positions on the normal in mm, ascending."""
    normal: Floats
    """Normal: row x column of the most frequent orientation."""
    orientation: Floats
    regular: bool = False
    """True for a volume."""
    blocked: bool = False
    """True if slices with different pixels have one position."""
    tilt: float = 0.0
    """Angle between the normal and the line through the slices, in degrees."""
    copies: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Slices that repeat a position with equal pixels."""
    by: dict[str, int] = field(default_factory=dict)
    """Attributes that divided the stack, with the code of its value."""
    localizer: bool = False
    found: list[Problem] = field(default_factory=list)


@dataclass
class Member:
    """Slices of one series, n of them; the arrays of `Slices` and what divides them."""

    slices: Slices
    placed: Bools
    keys: NDArray[np.int64]
    """Code of the value of each of `DIVIDERS`, ascending with the values; -1 for null, (n, 11)."""
    copy: Ints
    """Equal for files with equal UID, header and size, (n,)."""


def divide(
    series: Member, settings: Settings, compare: Compare
) -> tuple[list[Stack], list[Problem]]:
    """Divide a series into stacks, the largest first, and check them."""
    s = series.slices
    used = series.placed & ~s.composed
    body = used & ~s.localizer
    if not body.any():
        body = used
    found: list[Problem] = []
    if not used.any():
        return [], found
    direction = np.full(len(s), -1)
    direction[used] = _cluster(s.orientation[used], settings.orientation_tolerance)
    matrix, spacing = _ids(s.matrix), _ids(s.spacing)
    found += _find_mixed(s, body, direction, matrix, spacing)
    stacks = [
        list(_stack_class(series, members, settings, compare))
        for members in _classes(used, body, direction, matrix, spacing)
    ]
    _check_all(stacks, s, settings)
    _block_unplaced(stacks, series, matrix)
    flat = [stack for group in stacks for stack in group]
    found += [problem for stack in flat for problem in stack.found]
    found += _find_acquisitions(series, flat)
    return flat, found


def _classes(used: Bools, body: Bools, *kinds: Ints) -> list[Ints]:
    """Slices that are equal in all kinds; the largest class first, localizers last."""
    key = (~body).astype(np.int64)
    for kind in kinds:
        key = key * (int(kind.max()) + 1) + kind
    numbers = np.flatnonzero(used)
    if (key[numbers] == key[numbers[0]]).all():
        return [numbers]
    values, of = np.unique(key[numbers], return_inverse=True)
    classes = [numbers[of == n] for n in range(len(values))]
    return sorted(classes, key=lambda members: (not body[members[0]], -len(members)))


def _cluster(orientation: Floats, tolerance: float) -> Ints:
    """Cluster of each orientation: one with many neighbours, and all within `tolerance` of it."""
    if (orientation == orientation[0]).all():
        return np.zeros(len(orientation), np.int64)
    kinds, of, counts = np.unique(orientation, axis=0, return_inverse=True, return_counts=True)
    few = len(kinds) <= _MOST_ORIENTATIONS
    near = np.all(np.abs(kinds[:, None] - kinds[None]) <= tolerance, axis=2) if few else None
    cluster, left = np.full(len(kinds), -1), np.ones(len(kinds), bool)
    for number in range(_MOST_ORIENTATIONS):
        if near is not None:  # the one with the most slices in its neighbourhood
            weight = np.where(left, near @ (counts * left), -1)
            best = np.flatnonzero(weight == weight.max())
            inside = near[best[np.argmax(counts[best])]] & left
        else:  # the one nearest to the median
            rest = kinds[left]
            middle = rest[np.abs(rest - np.median(rest, axis=0)).max(axis=1).argmin()]
            inside = np.all(np.abs(kinds - middle) <= tolerance, axis=1) & left
        cluster[inside] = number
        left &= ~inside
        if not left.any():
            break
    cluster[left] = _MOST_ORIENTATIONS + np.arange(left.sum())
    return cluster[of.ravel()]


def _ids(values: NDArray[Any]) -> Ints:
    """Number of each distinct row; NaN equals NaN."""
    if (values == values[0]).all():
        return np.zeros(len(values), np.int64)
    values = np.nan_to_num(values.astype(float), nan=-1.0)
    return np.unique(values, axis=0, return_inverse=True)[1].ravel()


def _commonest(ids: Ints) -> int:
    return int(np.bincount(ids).argmax())


def _find_mixed(
    s: Slices, body: Bools, direction: Ints, matrix: Ints, spacing: Ints
) -> Iterator[Problem]:
    """Slices that differ from most of their series in kind, orientation, matrix or spacing."""
    numbers = np.arange(len(s))
    if not s.localizer.any() and not any(kind.any() for kind in (direction[body], matrix, spacing)):
        return
    localizers = numbers[s.localizer & ~s.composed]
    if not s.localizer[body].any():
        for n in localizers:
            yield Problem("LOCALIZER_IN_SERIES", (n,), "ImageType is LOCALIZER")
    main = _commonest(direction[body])
    if not s.localizer[body].all():
        for n in numbers[body & (direction != main)]:
            angle = _angle(s.orientation[n], s.orientation[body & (direction == main)][0])
            text = f"the normal differs by {angle:.3g} degrees from most slices of the series"
            yield Problem("ORIENTATION_MIXED", (n,), text)
    usual = _commonest(matrix[body])
    like = s.matrix[body & (matrix == usual)][0]
    for n in numbers[(matrix != usual) & (direction >= 0)]:
        text = f"{_shape(s.matrix[n])}; most slices of the series: {_shape(like)}"
        yield Problem("MATRIX_MIXED", (n,), text)
    for one in np.unique(direction[body]):
        same = body & (direction == one) & (matrix == usual)
        if same.any():
            common = _commonest(spacing[same])
            like = s.spacing[same & (spacing == common)][0]
            for n in numbers[same & (spacing != common)]:
                text = f"{_pair(s.spacing[n])}; most slices of the stack: {_pair(like)}"
                yield Problem("PIXEL_SPACING_MIXED", (n,), text)


def _angle(a: Floats, b: Floats) -> float:
    """Angle between the normals of two orientations, or between their rows, in degrees."""
    normals = cross(np.stack([a, b]))
    cosines = [normals[0] @ normals[1], a[:3] @ b[:3]]
    return float(np.degrees(np.arccos(np.clip(min(cosines), -1, 1))))


def _shape(matrix: Ints) -> str:
    rows, columns, samples = map(int, matrix)
    if rows <= 0 or columns <= 0:
        return "no Rows or no Columns"
    return f"{rows} rows x {columns} columns" + f" x {samples} samples" * (samples > 1)


def _pair(spacing: Floats) -> str:
    if np.isnan(spacing).any():
        return "no PixelSpacing of two numbers"
    return f"PixelSpacing {spacing[0]:g} x {spacing[1]:g} mm"


def _stack_class(
    series: Member, members: Ints, settings: Settings, compare: Compare
) -> Iterator[Stack]:
    """Stacks of slices with equal orientation, matrix and spacing."""
    s = series.slices
    leader = _leader(s.orientation[members])
    normal = cross(leader[None])[0]
    depth = s.position[members] @ normal
    order = np.argsort(depth, kind="stable")
    members, depth = members[order], depth[order]
    place = _places(depth, settings)
    localizer = bool(s.localizer[members].all())
    if place[-1] + 1 == len(members):
        yield Stack(members, depth, normal, leader, localizer=localizer)
        return
    twin = _repeats(np.stack([series.copy[members], place], axis=1))
    for part, by in _cut(series.keys, members, place, np.flatnonzero(~twin)):
        stack = Stack(members[part], depth[part], normal, leader, by=by, localizer=localizer)
        inside = np.isin(place, place[part]) & twin
        if by:
            inside &= _with_keys(series.keys[members], by)
        _drop_copies(stack, place[part], members[inside], place[inside], compare)
        yield stack


def _leader(orientation: Floats) -> Floats:
    """Most frequent orientation; of several, the one nearest to the median."""
    if (orientation == orientation[0]).all():
        return np.asarray(orientation[0])
    kinds, counts = np.unique(orientation, axis=0, return_counts=True)
    best = kinds[counts == counts.max()]
    return np.asarray(best[np.abs(best - np.median(orientation, axis=0)).sum(axis=1).argmin()])


def _places(depth: Floats, settings: Settings) -> Ints:
    """Number of the position of each slice, of ascending depths."""
    gaps = np.diff(depth)
    least = settings.position_tolerance_mm
    large = gaps[gaps > least]
    if len(large):
        least = max(least, settings.spacing_tolerance * float(np.median(large)))
    return np.concatenate([[0], np.cumsum(gaps > least)]).astype(np.int64)


def _repeats(keys: Ints) -> Bools:
    """True for each row that equals an earlier one."""
    repeats = np.ones(len(keys), bool)
    repeats[np.unique(keys, axis=0, return_index=True)[1]] = False
    return repeats


def _with_keys(keys: NDArray[np.int64], by: dict[str, int]) -> Bools:
    same = [keys[:, DIVIDERS.index(name)] == code for name, code in by.items()]
    return np.asarray(np.all(same, axis=0))


def _cut(
    keys: NDArray[np.int64], members: Ints, place: Ints, part: Ints
) -> Iterator[tuple[Ints, dict[str, int]]]:
    """Cut slices with repeated positions into sets with the same positions, as far as possible."""
    _, places = np.unique(place[part], return_inverse=True)
    count = int(places.max()) + 1
    if count == len(part):
        yield part, {}
        return
    best = None
    for column, name in enumerate(DIVIDERS):
        values, of = np.unique(keys[members[part], column], return_inverse=True)
        if len(values) < 2:
            continue
        covered = np.bincount(np.unique(of * count + places) // count)
        if (covered == count).all():
            best = name, values, of
            break
        if best is None and (2 * covered > count).all():
            best = name, values, of  # the sets have most positions in common: slices are missing
    if best is None:
        yield part, {}
        return
    name, values, of = best
    for number, value in enumerate(values.tolist()):
        for inner, by in _cut(keys, members, place, part[of == number]):
            yield inner, {name: value, **by}


def _drop_copies(
    stack: Stack, place: Ints, twins: Ints, twin_place: Ints, compare: Compare
) -> None:
    """Drop slices that repeat a position with equal pixels; others make the stack irregular."""
    again = np.r_[False, place[1:] == place[:-1]]
    if not again.any() and not len(twins):
        return
    first = np.flatnonzero(~again)
    kept, repeated = stack.slices[first], stack.slices[again]
    by_place = dict(zip(place[first].tolist(), kept.tolist(), strict=True))
    others = np.concatenate([repeated, twins])
    places = np.concatenate([place[again], twin_place])
    pairs = np.array([[by_place[p], n] for p, n in zip(places.tolist(), others, strict=True)])
    count = counted(len(first), "position")
    text = f"{counted(len(repeated), 'image', 'repeat')} {count}; no attribute divides them"
    reasons = [text] if len(repeated) > len(first) else compare(pairs, len(twins))
    if any(reasons) and 2 * len(repeated) > max(len(first), 2):
        stack.found.append(Problem("SLICE_DUPLICATED", (int(repeated[0]),), text))
    else:
        sampled = len(twins) > ALL_COMPARED
        equal = "header and a sample of the pixels are equal" if sampled else "the pixels are equal"
        for (one, other), reason in zip(pairs.tolist(), reasons, strict=True):
            text = f"at the position of {{1}}; {reason or equal}"
            stack.found.append(Problem("SLICE_DUPLICATED", (other, one), text))
    if any(reasons):
        stack.blocked = True
        return
    stack.copies = others
    stack.slices, stack.depth = kept, stack.depth[first]


def _check_all(groups: list[list[Stack]], s: Slices, settings: Settings) -> None:
    """Check every stack; none is a volume if slices of another kind belong into it."""
    for check in (_check, _confirm):
        results = [
            check(stack, [g for g in groups if g is not group], s, settings)
            for group in groups
            for stack in group
        ]
        for stack, regular in zip((t for group in groups for t in group), results, strict=True):
            stack.regular = regular


def _check(stack: Stack, others: list[list[Stack]], s: Slices, settings: Settings) -> bool:
    """Check distances and alignment; True for a regular stack."""
    if len(stack.slices) < 2 or stack.blocked:
        return False
    check = check_stack(
        stack.slices,
        stack.depth,
        s.position[stack.slices],
        stack.orientation,
        _fillers(stack, others, s),
        settings,
    )
    stack.tilt = check.tilt
    first = stack.slices[0]
    if not stack.localizer:
        stack.found += check.found
        if not (s.spacing[first] > 0).all():
            stack.found.append(
                Problem("PIXEL_SPACING_MISSING", (int(first),), _pair(s.spacing[first]))
            )
    scout = stack.localizer and any(not other.localizer for group in others for other in group)
    known = bool((s.spacing[first] > 0).all() and (s.matrix[first] > 0).all())
    strange = _find_references(stack, s)
    stack.found += strange
    return check.regular and known and not scout and not strange


def _find_references(stack: Stack, s: Slices) -> list[Problem]:
    """Slices with another frame of reference than most, whose positions cannot be compared."""
    stated = stack.slices[s.reference[stack.slices] >= 0]
    if not len(stated) or (s.reference[stated] == s.reference[stated[0]]).all():
        return []
    usual = _commonest(s.reference[stated])
    text = "another Frame of Reference UID than most slices of the stack"
    others = stated[s.reference[stated] != usual].tolist()
    return [Problem("FRAME_OF_REFERENCE_MIXED", (n,), text) for n in others]


def _confirm(stack: Stack, others: list[list[Stack]], s: Slices, settings: Settings) -> bool:
    """True for a regular stack into which no slices of another kind belong."""
    del settings
    return stack.regular and not len(_fillers(stack, others, s))


def _fillers(stack: Stack, others: list[list[Stack]], s: Slices) -> Floats:
    """Depths at which slices of another kind stand in a gap of a stack, or continue it."""
    if len(stack.slices) < 2 or not others:
        return np.zeros(0)
    step = float(np.median(np.diff(stack.depth)))
    depths = []
    for group in others:
        for other in group:
            if other.localizer or other.normal @ stack.normal < _ALIKE:
                continue
            depth = s.position[other.slices] @ stack.normal
            whole = other.regular and len(other.slices) >= _FEW
            reach = -_APART * step if whole else (1 + _APART) * step
            near = (depth > stack.depth[0] - reach) & (depth < stack.depth[-1] + reach)
            depths.append(depth[near])
    if not depths:
        return np.zeros(0)
    depth = np.concatenate(depths)
    distance = np.abs(depth[:, None] - stack.depth[None]).min(axis=1)
    return np.asarray(depth[distance > _APART * step])


def _block_unplaced(groups: list[list[Stack]], series: Member, matrix: Ints) -> None:
    """No stack is a volume if a slice without position may belong to it."""
    s = series.slices
    lost = ~series.placed & ~s.composed & ~s.localizer & (s.frame >= 0)
    unknown = (s.matrix <= 0).any(axis=1)
    for stack in (stack for group in groups for stack in group):
        count = int((lost & (unknown | (matrix == matrix[stack.slices[0]]))).sum())
        if count:
            stack.regular = False
            gaps = [f for f in stack.found if f.code == "SLICE_MISSING"]
            theirs = sum(gap.missing for gap in gaps) <= count
            stack.found = [f for f in stack.found if f not in gaps]
            if not theirs:
                note = f"; {counted(count, 'slice without position')} may be there"
                stack.found += [gap._replace(text=gap.text + note) for gap in gaps]


def _find_acquisitions(series: Member, stacks: list[Stack]) -> Iterator[Problem]:
    """Stacks of several acquisitions, unless an attribute of time or contrast explains them."""
    name = DIVIDERS[0]
    divided = [stack for stack in stacks if name in stack.by]
    if len({stack.by[name] for stack in divided}) < 2:
        return
    numbers = np.concatenate([stack.slices for stack in divided])
    acquisition = series.keys[numbers, 0]
    count = len(np.unique(acquisition))
    for other in _TIMES:
        values = series.keys[numbers, DIVIDERS.index(other)]
        if (values != values[0]).any():
            pairs = np.unique(np.stack([values, acquisition]), axis=1)
            if pairs.shape[1] == len(np.unique(values)) == count:
                return
    text = f"{count} values of AcquisitionNumber, each a stack of its own"
    second = next(stack for stack in divided if stack.by[name] != divided[0].by[name])
    yield Problem("ACQUISITIONS_MIXED", (int(second.slices[0]),), text)
