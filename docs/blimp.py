#!/usr/bin/env python3
"""BLiMP (Warstadt et al., 2020, doi:10.1162/tacl_a_00321): of how many minimal pairs a model finds the good sentence
likelier than the bad one, percent, by phenomenon. Chance is 50; 67 paradigms of 1,000 pairs.

    python3 docs/blimp.py DATA MODEL ...        DATA: the folder of its *.jsonl; MODEL: a name or a packed file

Sentences are scored as they are, each as a story of its own, by `flashlm score` (target/release/flashlm, or $FLASHLM).
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

FLASHLM = os.environ.get("FLASHLM", str(Path(__file__).parent.parent / "target/release/flashlm"))


def pairs(folder):
    """(phenomenon, good, bad) of every file, in the files' order."""
    files = sorted(Path(folder).glob("*.jsonl"))
    if not files:
        sys.exit(f"{folder}: no *.jsonl in it; expected BLiMP's folder `data`")
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            yield item["linguistics_term"], item["sentence_good"], item["sentence_bad"]


def bits(model, sentences):
    """What each sentence costs the model [bits]."""
    command = [FLASHLM, "-m", model, "score", "-"]
    run = subprocess.run(command, input="\n".join(sentences) + "\n", stdout=subprocess.PIPE, text=True, check=True)
    return [float(line) for line in run.stdout.split()]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    items = list(pairs(sys.argv[1]))
    models = sys.argv[2:]
    rows = defaultdict(dict)
    for model in models:
        costs = bits(model, [sentence for _, *both in items for sentence in both])
        right = defaultdict(list)
        for (term, _, _), good, bad in zip(items, costs[::2], costs[1::2], strict=True):
            # a tie is half a hit
            hit = (good < bad) + 0.5 * (good == bad)
            right[term].append(hit)
            right["all"].append(hit)
        for term, hits in right.items():
            rows[term][model] = 100 * sum(hits) / len(hits), len(hits)
    print("| phenomenon | pairs | " + " | ".join(Path(model).stem for model in models) + " |")
    print("|---|---|" + "---|" * len(models))
    for term in sorted(rows, key=lambda term: (term == "all", term)):
        shares = " | ".join(f"{rows[term][model][0]:.1f}" for model in models)
        print(f"| {term.replace('_', ' ')} | {rows[term][models[0]][1]} | {shares} |")


main()
