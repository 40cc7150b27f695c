"""CoNLL files: a token and its tag on each line, and a line that is blank between sentences.

A blank line is one that strips to nothing: some files have a tab or a blank in it. Knows lines; what tags mean,
`dure.dataset.tags` knows.
"""

from collections import Counter
from collections.abc import Iterator

from dure.dataset.encoding import lines_of
from dure.dataset.example import TaggedText
from dure.dataset.problems import Problem, told
from dure.dataset.sentences import Sentence, with_entities
from dure.errors import SpecError

_DOCUMENT = "-DOCSTART-"
_WIDTH_LINES = 200


def read_conll(text: str, name: str, token: int = 0, tag: int = -1) -> tuple[list[TaggedText], list[Problem]]:
    """Return the sentences of a CoNLL file; their texts are the tokens with a blank between.

    A line that begins with `# ` is a comment if it does not fit the columns of the file: `#` may be a token.

    Args:
        text: The file.
        name: What it is called in errors.
        token: Which column is the token, from 0; a negative one counts from the right.
        tag: Which column is the tag.

    Raises:
        SpecError: A column that the file does not have.
        ValidationError: A line without a tag, a tag that cannot be read; names the lines.
    """
    width = _width(text)
    for what, column in (("text_column", token), ("label_column", tag)):
        if not -width <= column < width:
            raise SpecError(f"{what}: there is no column {column + 1}; the lines of {name} have {width}")
    sentences = [Sentence()]
    faults: list[str] = []
    lost: list[int] = []
    for number, fields in _fields(text):
        if not fields or fields[0] == _DOCUMENT:
            sentences.append(Sentence())
        elif len(fields) != width:
            if not (fields[0] == "#" or fields[0].startswith("# ")):
                faults.append(
                    f"line {number:,}: {len(fields)} columns where others have {width}: each token needs a tag"
                )
        elif not fields[token].strip():
            lost.append(number)
        else:
            sentences[-1].add(fields[token], fields[tag], number)
    examples, problems = with_entities([found for found in sentences if found.tokens], " ", faults, name)
    if lost:
        problems.append(Problem(f"{told(lost)}: an empty token", "left out"))
    return examples, problems


def _fields(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the columns of each line, separated by tabs if the line has any; none for a blank line."""
    for number, line in lines_of(text):
        if not line.strip():
            yield number, []
        else:
            # A tab at the left means a token that is empty, and is kept.
            yield number, [cell.strip() for cell in line.rstrip().split("\t")] if "\t" in line else line.split()


def _width(text: str) -> int:
    """Return how many columns the lines of a file have, but for comments and a few that are broken."""
    widths: Counter[int] = Counter()
    for _, fields in _fields(text):
        if fields and fields[0] != _DOCUMENT and not fields[0].startswith("#"):
            widths[len(fields)] += 1
        if widths.total() >= _WIDTH_LINES:
            break
    usual = max(widths, key=lambda width: widths[width], default=2)
    return max(2, usual)
