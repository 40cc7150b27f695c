r"""Characters with their tags, as KLUE writes them: `char<TAB>tag` for each, blanks as well, and comments `## `.

A blank is a token (` <TAB>O`), so lines are never stripped; `#` may be a character. The tags are read, never the marks
in a comment, which are ambiguous. Knows lines; what tags mean, `dure.dataset.tags` knows.
"""

from dure.dataset.encoding import lines_of
from dure.dataset.example import TaggedText
from dure.dataset.problems import Problem, told
from dure.dataset.sentences import Sentence, with_entities

_COMMENT = "## "


def read_klue(text: str, name: str) -> tuple[list[TaggedText], list[Problem]]:
    """Return the sentences of a file of characters; the id of each is what the comment above it begins with.

    Raises:
        ValidationError: A line that is not a character and a tag, a tag that cannot be read; names the lines.
    """
    sentences = [Sentence()]
    faults: list[str] = []
    stripped: list[int] = []
    identity = ""
    for number, line in lines_of(text):
        if line.startswith(_COMMENT):
            identity = line.removeprefix(_COMMENT).partition("\t")[0]
            continue
        if not line.strip():
            sentences.append(Sentence())
            continue
        token, tab, tag = line.rpartition("\t")
        if not tab or "\t" in token:
            faults.append(f"line {number:,}: {line.count(chr(9)) + 1} columns, not a character, a tab and a tag")
            continue
        if not token:
            stripped.append(number)
        sentence = sentences[-1]
        sentence.id = sentence.id or identity
        sentence.add(token or " ", tag.strip(), number)
    examples, problems = with_entities([found for found in sentences if found.tokens], "", faults, name)
    if stripped:
        problems.append(Problem(f"{told(stripped)}: a tag without a character", "read as a blank that was stripped"))
    return examples, problems
