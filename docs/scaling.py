#!/usr/bin/env python3
"""What more tokens would give: a power law fitted to finished runs of one size, with an interval.

BPC = E + A * N^-b over N million tokens (Hoffmann et al., 2022, arXiv:2203.15556, one size). Only finished runs count,
whose learning rate fell to its end. The interval is of many fits to points that were moved by as much as two seeds of a
run differ, so it holds what the points leave open, not that text that is told again and again teaches less.

    python3 docs/scaling.py [HOURS [TOKENS_PER_SECOND]]        results/scaling.tsv holds the runs
"""

import csv
import random
import sys
from pathlib import Path

SEED_SD = 0.003
FITS = 1000
EXPONENTS = [i / 200 for i in range(10, 201)]


def fit(points):
    """E, A, b of the least squares over a grid of exponents; E below zero is no entropy."""
    best = None
    for b in EXPONENTS:
        xs, ys = [n**-b for n, _ in points], [y for _, y in points]
        mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
        a = sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sum((x - mx) ** 2 for x in xs)
        e = my - a * mx
        error = sum((e + a * x - y) ** 2 for x, y in zip(xs, ys))
        if e >= 0 and (best is None or error < best[0]):
            best = (error, e, a, b)
    return best[1:]


def main():
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 12.0
    speed = float(sys.argv[2]) if len(sys.argv) > 2 else 7800.0
    with open(Path(__file__).parent.parent / "results" / "scaling.tsv") as file:
        points = [(float(row["tokens_m"]), float(row["bpc"])) for row in csv.DictReader(file, delimiter="\t")]
    e, a, b = fit(points)
    print(f"BPC = {e:.3f} + {a:.3f} * N^-{b:.3f}, N in million tokens; {len(points)} runs")
    for n, y in points:
        print(f"{n:8.1f} M  found {y:.4f}  fitted {e + a * n**-b:.4f}")
    rng = random.Random(1)
    fits = [fit([(n, y + rng.gauss(0, SEED_SD)) for n, y in points]) for _ in range(FITS)]
    for n in sorted({40.0, 80.0, 160.0, hours * 3600 * speed / 1e6}):
        guesses = sorted(e + a * n**-b for e, a, b in fits)
        low, high = guesses[FITS // 40], guesses[-FITS // 40]
        print(f"{n:8.1f} M  predicted {e + a * n**-b:.3f}  95 % of the fits {low:.3f} to {high:.3f}")


main()
