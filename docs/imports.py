#!/usr/bin/env python3
"""Draws docs/imports.svg, the imports between the wings of the crate: docs/imports.py [--check]

It reads the `crate::` paths of src/ and the order of the wings in tests/sources/layers.rs. Every wing stands above all that
it imports from. An arrow that follows from others is left out: where A imports B and B imports C, nothing is said of A
and C. With --check nothing is written, and the picture has to be the present one.
"""

import itertools
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/imports.svg"
BOX, GAP, ROW, MARGIN = (104, 30), 22, 78, 24


def wings():
    """The wings, from the top to the bottom."""
    layers = (ROOT / "tests/sources/layers.rs").read_text()
    return re.findall(r'"(\w+)"', re.search(r"const WINGS: [^=]*= \[(.*?)\];", layers, re.DOTALL)[1])


def imports(names):
    """What each wing imports from, its tests and its documentation left out."""
    used = {name: set() for name in names}
    for path in (ROOT / "src").rglob("*.rs"):
        wing = path.relative_to(ROOT / "src").parts[0].removesuffix(".rs")
        if wing == "lib":
            continue
        code = path.read_text().split("#[cfg(test)]")[0]
        code = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith("//"))
        used[wing] |= {found for found in re.findall(r"\bcrate::(\w+)::", code) if found != wing}
    unknown = set().union(*used.values()) - set(names)
    if unknown:
        sys.exit(f"not among the wings of tests/sources/layers.rs: {', '.join(sorted(unknown))}")
    for wing, found in used.items():
        back = [name for name in found if names.index(name) <= names.index(wing)]
        if back:
            sys.exit(f"{wing} imports from above itself: {', '.join(back)}")
    return used


def reduced(names, used):
    """The arrows that do not follow from others, and the row of each wing, counted from the bottom."""
    reach, row = {}, {}
    for name in reversed(names):
        reach[name] = used[name].union(*(reach[other] for other in used[name]))
        row[name] = 1 + max((row[other] for other in used[name]), default=-1)
    arrows = []
    for name in names:
        for other in sorted(used[name], key=names.index):
            if not any(other in reach[between] for between in used[name]):
                arrows.append((name, other))
    return arrows, row


def placed(names, arrows, row):
    """The order in each row, with points where long arrows pass; few arrows cross."""
    rows = [[] for _ in range(max(row.values()) + 1)]
    for name in names:
        rows[row[name]].append(name)
    chains = []
    for upper, lower in arrows:
        between = [(upper, lower, level) for level in range(row[upper] - 1, row[lower], -1)]
        for point in between:
            rows[point[2]].append(point)
        chains.append([upper, *between, lower])
    links = [pair for chain in chains for pair in itertools.pairwise(chain)]

    def crossings():
        at = {node: index for order in rows for index, node in enumerate(order)}
        level = {node: index for index, order in enumerate(rows) for node in order}
        ends = {}
        for upper, lower in links:
            ends.setdefault(level[upper], []).append((at[upper], at[lower]))
        pairs = itertools.chain(*(itertools.combinations(of_row, 2) for of_row in ends.values()))
        return sum((a - c) * (b - d) < 0 for (a, b), (c, d) in pairs)

    def median(node, of, at):
        beside = sorted(at[other] for other in of.get(node, ()))
        return beside[len(beside) // 2] / 2 + beside[(len(beside) - 1) // 2] / 2 if beside else None

    below, above = {}, {}
    for upper, lower in links:
        below.setdefault(upper, []).append(lower)
        above.setdefault(lower, []).append(upper)
    best = (crossings(), [list(order) for order in rows])
    for turn in range(40):
        downwards = turn % 2 == 0
        order = range(len(rows) - 2, -1, -1) if downwards else range(1, len(rows))
        for level in order:
            fixed = rows[level + 1 if downwards else level - 1]
            at = {node: index / max(len(fixed) - 1, 1) for index, node in enumerate(fixed)}
            own = {node: index / max(len(rows[level]) - 1, 1) for index, node in enumerate(rows[level])}
            wished = {node: median(node, above if downwards else below, at) for node in rows[level]}
            rows[level].sort(key=lambda node: own[node] if wished[node] is None else wished[node])
        # Neighbours change places where fewer arrows cross then.
        for line in rows:
            for index in range(len(line) - 1):
                before = crossings()
                line[index], line[index + 1] = line[index + 1], line[index]
                if crossings() >= before:
                    line[index], line[index + 1] = line[index + 1], line[index]
        if crossings() < best[0]:
            best = (crossings(), [list(order) for order in rows])
    return best[1], chains


def width(node):
    return BOX[0] if isinstance(node, str) else 12


def columns(rows, chains):
    """Where each node stands: as near to its neighbours as the width of the boxes allows."""
    x = {}
    for order in rows:
        left = 0
        for node in order:
            x[node] = left + width(node) / 2
            left += width(node) + GAP
        for node in order:
            x[node] -= left / 2
    beside = {}
    for chain in chains:
        for upper, lower in itertools.pairwise(chain):
            beside.setdefault(upper, []).append(lower)
            beside.setdefault(lower, []).append(upper)
    for turn in range(60):
        for order in rows if turn % 2 else reversed(rows):
            wished = [sum(x[other] for other in beside[node]) / len(beside[node]) if node in beside else x[node]
                      for node in order]
            # From both sides, and the mean of the two, so that none is pushed to one side.
            least, most = list(wished), list(wished)
            for index in range(1, len(order)):
                apart = (width(order[index - 1]) + width(order[index])) / 2 + GAP
                least[index] = max(wished[index], least[index - 1] + apart)
            for index in range(len(order) - 2, -1, -1):
                apart = (width(order[index]) + width(order[index + 1])) / 2 + GAP
                most[index] = min(wished[index], most[index + 1] - apart)
            for index, node in enumerate(order):
                x[node] = (least[index] + most[index]) / 2
    left = min(x[node] - width(node) / 2 for order in rows for node in order)
    return {node: round(at - left + MARGIN) for node, at in x.items()}


def picture():
    names = wings()
    used = imports(names)
    arrows, row = reduced(names, used)
    rows, chains = placed(names, arrows, row)
    x = columns(rows, chains)
    public = set(re.findall(r"^pub mod (\w+);", (ROOT / "src/lib.rs").read_text(), re.MULTILINE))
    wide = max(x[node] + width(node) // 2 for order in rows for node in order) + MARGIN
    high = (len(rows) - 1) * ROW + BOX[1] + 2 * MARGIN
    middle = {node: high - MARGIN - BOX[1] // 2 - level * ROW for level, order in enumerate(rows) for node in order}
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" role="img">',
        "<title>The imports between the wings of otp-grant</title>",
        "<!-- Made by docs/imports.py. -->",
        "<style>",
        "  svg { background: #fff }",
        "  rect { fill: #eef3fb; stroke: #3b5b8c; stroke-width: 1.2 } .inner { fill: #fff; stroke-dasharray: 4 3 }",
        "  text { font: 14px system-ui, sans-serif; fill: #14233b; text-anchor: middle; dominant-baseline: central }",
        "  path { fill: none; stroke: #6b7a90; stroke-width: 1.3 } .tip { fill: #6b7a90; stroke: none }",
        "  @media (prefers-color-scheme: dark) {",
        "    svg { background: #0d1117 } rect { fill: #1c2a41; stroke: #8fb0e6 } .inner { fill: #0d1117 }",
        "    text { fill: #e6edf7 } path { stroke: #93a1b5 } .tip { fill: #93a1b5 }",
        "  }",
        "</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>',
    ]
    for chain in chains:
        line = f"M{x[chain[0]]} {middle[chain[0]] + BOX[1] // 2}"
        for upper, lower in itertools.pairwise(chain):
            # Past a box a long arrow runs straight down.
            start = middle[upper] + BOX[1] // 2
            end = middle[lower] - BOX[1] // 2
            half = (start + end) // 2
            line += f" L{x[upper]} {start} C{x[upper]} {half} {x[lower]} {half} {x[lower]} {end}"
        svg.append(f'<path marker-end="url(#tip)" d="{line}"/>')
    for name in names:
        left, top = x[name] - BOX[0] // 2, middle[name] - BOX[1] // 2
        inner = "" if name in public else ' class="inner"'
        svg.append(f'<rect{inner} x="{left}" y="{top}" width="{BOX[0]}" height="{BOX[1]}" rx="6"/>')
        svg.append(f'<text x="{x[name]}" y="{middle[name]}">{name}</text>')
    return "\n".join([*svg, "</svg>"]) + "\n"


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit("usage: docs/imports.py [--check]")
    drawn = picture()
    if not sys.argv[1:]:
        PICTURE.write_text(drawn)
    elif not PICTURE.exists() or PICTURE.read_text() != drawn:
        sys.exit("docs/imports.svg is not that of the sources: run `python3 docs/imports.py`")


if __name__ == "__main__":
    main()
