#!/usr/bin/env python3
"""Draws the charts of "How the cost grows" from what `cargo bench --bench growth` prints.

    cargo bench --bench growth > growth.csv
    python3 benches/charts.py growth.csv

Needs matplotlib. The same numbers give the same files, byte for byte.
"""

import csv
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "otp-grant",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
})

from matplotlib import pyplot  # noqa: E402

CHARTS = pathlib.Path(__file__).parent / "charts"
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#555555"]


def main() -> None:
    rows = read(sys.argv[1])
    CHARTS.mkdir(exist_ok=True)
    live_challenges(rows)
    concurrency(rows)
    record_size(rows)


def read(path: str) -> dict[str, dict[str, dict[int, float]]]:
    """The values by chart, line and place on the axis. What cargo prints beside them is left out."""
    rows: dict[str, dict[str, dict[int, float]]] = {}
    with open(path, encoding="utf-8") as lines:
        for row in csv.reader(lines):
            if len(row) == 5 and row[0] != "of":
                of, line, at, value, _ = row
                rows.setdefault(of, {}).setdefault(line, {})[int(at)] = float(value)
    return rows


def live_challenges(rows) -> None:
    of = rows["live challenges"]
    store = rows["store operations of a grant"]["all of a grant p50"]
    one = of["login"][min(of["login"])]
    lines = {"login (send and OTP grant, ES256)": of["login"], "two bare signatures": of["two signatures"],
             "store operations of the grant": store}
    figure, axes = chart("Cost of a login against live challenges", "live challenges in the store",
                         "time, in logins at 1,000 live challenges")
    for colour, (name, values) in zip(COLOURS, lines.items()):
        draw(axes, {at: value / one for at, value in values.items()}, name, colour)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.6)
    counted(axes, of["login"])
    save(figure, axes, "live_challenges")


def concurrency(rows) -> None:
    figure, axes = chart("Store operations against requests at once on one address", "requests at once",
                         "loads and swaps for each request")
    for colour, (name, values) in zip(COLOURS, rows["concurrency"].items()):
        draw(axes, values, name, colour)
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    counted(axes, rows["concurrency"]["right codes"])
    save(figure, axes, "concurrency")


def record_size(rows) -> None:
    of = rows["record"]
    figure, axes = chart("Size of a record against its age", "refreshes, sends or logins so far",
                         "record as JSON, in bytes")
    names = {"session by refreshes": "session, by refreshes", "address by sends": "address, by sends",
             "address by logins": "address, by logins"}
    for colour, (line, name) in zip(COLOURS, names.items()):
        draw(axes, of[line], name, colour)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=-0.1)
    axes.set_ylim(bottom=0)
    counted(axes, [0, 1, 10, 100, 1000])
    save(figure, axes, "record_size")


def chart(title: str, across: str, up: str):
    figure, axes = pyplot.subplots(figsize=(7.4, 4.4), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.yaxis.set_major_formatter("{x:,g}")
    return figure, axes


def draw(axes, values: dict[int, float], name: str, colour: str) -> None:
    axes.plot(list(values), list(values.values()), marker="o", linewidth=2, label=name, color=colour)


def counted(axes, places) -> None:
    axes.set_xticks(list(places), [f"{place:,}" for place in places])
    axes.minorticks_off()


def save(figure, axes, name: str) -> None:
    axes.legend(loc="best")
    # Without a background of its own it would not be read on a dark page.
    figure.savefig(CHARTS / f"{name}.svg", metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    main()
