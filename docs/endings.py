#!/usr/bin/env python3
"""A cloze of TinyStories' own: items that ask for the last sentence of held-out stories among those of three others, as
the story cloze test does (Mostafazadeh et al., 2016) with other stories.

    python3 docs/endings.py valid.txt >endings.tsv      then: trainer probe MODEL --file endings.tsv

Wrong endings name nobody whom the story does not name, so that names alone give nothing away, and are the nearest in
length to the right one, as a short sentence is likelier. Endings that several stories share are left out. 1,000 items,
drawn with a fixed seed.
"""

import random
import re
import sys
from collections import Counter

ITEMS = 1000
SENTENCE = re.compile(r'(?<=[.!?])["\']?\s+')
WORD = re.compile(r"[A-Za-z]+")
WITHIN = re.compile(r"[a-z,] ([A-Z][a-z]+)")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        stories = [" ".join(story.split()) for story in file.read().split("<|endoftext|>")]
    whole = []
    for story in stories:
        cuts = [cut.end() for cut in SENTENCE.finditer(story)]
        # one sentence after another, at least five of them, and nothing that the file's format needs
        if len(cuts) >= 4 and "|" not in story:
            whole.append((story[: cuts[-1]].rstrip(), story[cuts[-1] :]))
    shared = Counter(ending for _, ending in whole)
    whole = [(begin, end) for begin, end in whole if shared[end] == 1 and end.endswith((".", "!", '"')) and len(end) > 20]
    words = Counter(word for story in stories for word in WORD.findall(story))
    # what has a capital within sentences, and mostly has one
    name = {word for story in stories for word in WITHIN.findall(story) if words[word] > words[word.lower()]}
    named = {end: name.intersection(WORD.findall(end)) for _, end in whole}
    rng = random.Random(1)
    print("family\tprompt\tanswer\twrong")
    for begin, end in rng.sample(whole, min(ITEMS, len(whole))):
        known = set(WORD.findall(begin))
        others = [other for _, other in whole if other != end and named[other] <= known]
        rng.shuffle(others)
        others.sort(key=lambda other: abs(len(other) - len(end)))
        print("endings", begin, end, "|".join(others[:3]), sep="\t")


main()
