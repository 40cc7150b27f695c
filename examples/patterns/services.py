"""Vertical and horizontal microservices: a search in which one step needs another, and two kinds of it side by side.

    python services.py [number of sentences] [rounds]

    vertical:   encoder -> meaning -> letters -> fuse
    horizontal: encoder -> meaning, and letters at the same time; then fuse

The queries are sentences of the corpus with misspelt words. Without a number it searches 1,000 sentences, or as many
as the environment variable DURE_EXAMPLE_DOCS says.
"""

import os
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from difflib import SequenceMatcher
from operator import contains
from typing import Any

from dure import Document, DocumentArray, Executor, Flow, requests
from dure.dataset import corpus
from dure.nlp.encoder import SentenceEncoder

NUM_FOUND = 10
NUM_COMPARED = 50
NUM_QUERIES = 50
STEPS = ("encoder", "meaning", "letters", "fuse")
ENCODED = {"/index": "encode", "/search": "encode"}


class Meaning(Executor):
    """Finds the sentences whose embeddings are nearest: their ids in the tag `meaning`. Needs an encoder before it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.indexed = DocumentArray()

    @requests(on="/index")
    def index(self, docs: DocumentArray, **_: Any) -> None:
        self.indexed.extend(docs)

    @requests(on="/search")
    def search(self, docs: DocumentArray, **_: Any) -> None:
        docs.match(self.indexed, limit=NUM_FOUND)
        for doc in docs:
            doc.tags["meaning"] = doc.matches.ids
            doc.matches = DocumentArray()


class Letters(Executor):
    """Finds the sentences that are spelt most alike: their ids in the tag `letters`.

    Those that share most trigrams of letters are compared letter by letter.
    Source: PostgreSQL's pg_trgm, https://www.postgresql.org/docs/current/pgtrgm.html, and Python's difflib.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.having: defaultdict[str, list[str]] = defaultdict(list)  # trigram -> ids
        self.texts: dict[str, str] = {}

    @requests(on="/index")
    def index(self, docs: DocumentArray, **_: Any) -> None:
        self.texts |= zip(docs.ids, docs.texts, strict=True)
        for doc in docs:
            for trigram in trigrams(doc.text):
                self.having[trigram].append(doc.id)

    @requests(on="/search")
    def search(self, docs: DocumentArray, **_: Any) -> None:
        for doc in docs:
            shared = Counter(found for trigram in trigrams(doc.text) for found in self.having.get(trigram, ()))
            matcher = SequenceMatcher(b=doc.text)
            alike = {}
            for found, _count in shared.most_common(NUM_COMPARED):
                matcher.set_seq1(self.texts[found])
                alike[found] = matcher.ratio()
            doc.tags["letters"] = sorted(alike, key=alike.__getitem__, reverse=True)[:NUM_FOUND]


class Fuse(Executor):
    """Joins the two rankings: `doc.matches`, the best first.

    Source: Cormack, Clarke, Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
    methods", SIGIR (2009).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.texts: dict[str, str] = {}

    @requests(on="/index")
    def index(self, docs: DocumentArray, **_: Any) -> None:
        self.texts |= zip(docs.ids, docs.texts, strict=True)

    @requests(on="/search")
    def fuse(self, docs: DocumentArray, **_: Any) -> None:
        for doc in docs:
            scores: defaultdict[str, float] = defaultdict(float)
            for ranking in (doc.tags["meaning"], doc.tags["letters"]):
                for rank, found in enumerate(ranking, start=1):
                    scores[found] += 1 / (60 + rank)
            best = sorted(scores, key=scores.__getitem__, reverse=True)[:NUM_FOUND]
            doc.matches = DocumentArray(
                Document(id=found, text=self.texts[found], scores={"fused": scores[found]}) for found in best
            )


def trigrams(text: str) -> list[str]:
    padded = f"  {text.lower()} "
    return list(dict.fromkeys(padded[at : at + 3] for at in range(len(padded) - 2)))


def vertical() -> Flow:
    """One after the other, each with what those before it found."""
    flow = Flow().add(uses=SentenceEncoder, name="encoder", uses_requests=ENCODED)
    return flow.add(uses=Meaning, name="meaning").add(uses=Letters, name="letters").add(uses=Fuse, name="fuse")


def horizontal() -> Flow:
    """The same four; but `letters` needs nothing of the encoder, so it does not wait for it."""
    flow = Flow().add(uses=SentenceEncoder, name="encoder", uses_requests=ENCODED)
    flow = flow.add(uses=Meaning, name="meaning")
    flow = flow.add(uses=Letters, name="letters", needs="gateway")
    return flow.add(uses=Fuse, name="fuse", needs=["meaning", "letters"])


def main() -> None:
    num_docs = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DURE_EXAMPLE_DOCS", "1000"))
    num_rounds = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("DURE_EXAMPLE_ROUNDS", "5"))
    docs = DocumentArray(Document(text=text) for text in corpus.read(num_docs))
    wanted = docs.sample(min(NUM_QUERIES, max(1, num_docs // 4)), seed=0)
    queries = DocumentArray(Document(text=misspelt(text)) for text in wanted.texts)
    with vertical() as one, horizontal() as other:
        ways = {"vertical": one, "horizontal": other}
        for flow in ways.values():
            flow.post("/index", docs)
        rounds = [{name: measured(flow, queries) for name, flow in ways.items()} for _ in range(num_rounds)]
        print(f"{num_docs} sentences, {len(queries)} queries, {num_rounds} rounds; median (least-most) of the rounds")
        print(f"{'':10} {'queries/s':>16} {'one alone, ms':>18}   of that in {', '.join(STEPS)}")
        for name in ways:
            rate, whole, *steps = zip(*(one[name] for one in rounds), strict=True)
            parts = ", ".join(spread(step) for step in steps)
            print(f"{name:10} {spread(rate):>16} {spread(whole):>18}   {parts}")
        found = other.post("/search", queries)
    rankings = {name: [tags[name] for tags in found.tags] for name in ("meaning", "letters")}
    rankings["fused"] = [doc.matches.ids for doc in found]
    told = [f"{name} {sum(map(contains, ranking, wanted.ids))}" for name, ranking in rankings.items()]
    print(f"the sentence that was meant is among the {NUM_FOUND} found: {', '.join(told)} of {len(queries)}")


def misspelt(text: str) -> str:
    """Swap two letters in every other word."""
    draw = random.Random(text)
    words = text.split()
    for at in range(0, len(words), 2):
        letters = list(words[at])
        if len(letters) > 3:
            place = draw.randrange(len(letters) - 1)
            letters[place : place + 2] = letters[place + 1], letters[place]
        words[at] = "".join(letters)
    return " ".join(words)


def measured(flow: Flow, queries: DocumentArray) -> list[float]:
    """Return queries per second, all sent at once; of one alone the milliseconds, whole and in each step's method."""
    began = time.perf_counter()
    flow.post("/search", queries, request_size=1)
    rate = len(queries) / (time.perf_counter() - began)
    took = []
    for row in range(len(queries)):
        began = time.perf_counter()
        served = flow.post("/search", queries[row : row + 1], explain=True).served[0]
        took.append([time.perf_counter() - began, *(served[name].compute_s for name in STEPS)])
    return [rate, *(statistics.median(column) * 1e3 for column in zip(*took, strict=True))]


def spread(values: tuple[float, ...]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


if __name__ == "__main__":
    main()
