"""An evaluation as files to look at: one PNG for each picture, and one HTML page that holds them all.

The page needs no other file and no network. Knows evaluations and pictures; not where the model comes from.
"""

import base64
import html
import time
from collections.abc import Sequence
from pathlib import Path

from dure.learning.evaluation import Evaluation, Mistake
from dure.learning.fonts import legend
from dure.learning.highlight import in_html
from dure.learning.pictures import bars, confusion, learning_curve, reliability_diagram
from dure.learning.progress import Progress
from dure.learning.scores import ClassificationScores

PAGE = "evaluation.html"

_STYLE = """
body { font: 15px/1.5 system-ui, "Noto Sans KR", "Malgun Gothic", sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums } img { max-width: 100%; height: auto }
mark { padding: .05rem .2rem; border-radius: .2rem; color: #111 } mark small { font-weight: 600; opacity: .7 }
.text { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 20rem } td { overflow-wrap: anywhere }
"""
_MAX_TEXT = 400


def write_evaluation(evaluation: Evaluation, folder: Path, title: str, history: Sequence[Progress] = ()) -> list[Path]:
    """Write an evaluation as pictures and as a page.

    Args:
        evaluation: What to show.
        folder: Where to; it is made if it is not there, and files of the same names are replaced.
        title: What was evaluated, on what.
        history: Where the training stood; without it there is no learning curve.

    Returns:
        list[Path]: The files, the page first.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = _pictures(evaluation, history)
    page = folder / PAGE
    page.write_text(_page(evaluation, title, pictures), encoding="utf-8")
    files = [page]
    for name, (_, png) in pictures.items():
        files.append(folder / f"{name}.png")
        files[-1].write_bytes(png)
    return files


def _pictures(evaluation: Evaluation, history: Sequence[Progress]) -> dict[str, tuple[str, bytes]]:
    """Return pictures with their headings, by the names of their files."""
    scores = evaluation.scores
    found: dict[str, tuple[str, bytes]] = {}
    if isinstance(scores, ClassificationScores):
        found["per_label"] = ("Scores by label", bars(scores.per_label))
        found["confusion"] = ("What is taken for what", confusion(scores))
    elif scores.per_type:
        found["per_type"] = ("Scores by type of entity (strict: start, end and type)", bars(scores.per_type))
    if evaluation.reliability.bins:
        found["reliability"] = ("How sure, and how often right", reliability_diagram(evaluation.reliability))
    if history:
        found["learning_curve"] = ("The training", learning_curve(history))
    return found


def _page(evaluation: Evaluation, title: str, pictures: dict[str, tuple[str, bytes]]) -> str:
    made = time.strftime("%Y-%m-%d %H:%M")
    parts = [f"<h1>{html.escape(title)}</h1>", _numbers(evaluation, made)]
    for name, (heading, png) in pictures.items():
        data = base64.b64encode(png).decode()
        parts.append(f'<h2>{html.escape(heading)}</h2><img alt="{name}" src="data:image/png;base64,{data}">')
    parts += [_legend(evaluation), _mistakes(evaluation)]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f"<!doctype html>\n<html><head>{head}</head>\n<body>\n{chr(10).join(filter(None, parts))}\n</body></html>\n"


def _numbers(evaluation: Evaluation, made: str) -> str:
    scores = evaluation.scores
    if isinstance(scores, ClassificationScores):
        rows = {"accuracy": f"{scores.accuracy:.4f}", "macro F1": f"{scores.macro_f1:.4f}"}
    else:
        rows = {
            "entity F1": f"{scores.entity_f1:.4f}",
            "precision": f"{scores.precision:.4f}",
            "recall": f"{scores.recall:.4f}",
        }
    rows["texts"] = f"{evaluation.rows:,}"
    rows["time"] = f"{evaluation.elapsed_time_s:.2f} s"
    if evaluation.unknown:
        rows["not known to the model"] = ", ".join(evaluation.unknown)
    rows["made"] = made
    lines = "".join(f'<tr><th>{name}</th><td class="n">{html.escape(told)}</td></tr>' for name, told in rows.items())
    return f"<table>{lines}</table>"


def _legend(evaluation: Evaluation) -> str:
    """Say which labels the numbers stand for, where no font of this machine could draw them."""
    scores = evaluation.scores
    numbers = legend(scores.per_label if isinstance(scores, ClassificationScores) else scores.per_type)
    if not numbers:
        return ""
    lines = "".join(f"<tr><td>{number}</td><td>{html.escape(label)}</td></tr>" for number, label in numbers.items())
    return f"<h2>Labels that could not be drawn</h2><table>{lines}</table>"


def _mistakes(evaluation: Evaluation) -> str:
    if not evaluation.mistakes:
        return ""
    head = "<tr><th>line</th><th>sure</th><th>there</th><th>predicted</th></tr>"
    scores = evaluation.scores
    types = () if isinstance(scores, ClassificationScores) else tuple(scores.per_type)
    lines = "".join(_mistake(mistake, types) for mistake in evaluation.mistakes)
    return f"<h2>Mistakes that the model was surest of</h2><table>{head}{lines}</table>"


def _mistake(mistake: Mistake, types: Sequence[str]) -> str:
    first = f'<td class="n">{mistake.line or ""}</td><td class="n">{mistake.score:.2f}</td>'
    if isinstance(mistake.gold, str) or isinstance(mistake.predicted, str):
        labels = f"<td>{html.escape(str(mistake.gold))}</td><td>{html.escape(str(mistake.predicted))}</td>"
        text = f'<td class="text">{html.escape(mistake.text[:_MAX_TEXT])}</td>'
        return f"<tr>{first}{labels}{text}</tr>"
    there, said = (in_html(mistake.text, spans, types) for spans in (mistake.gold, mistake.predicted))
    return f'<tr>{first}<td class="text">{there}</td><td class="text">{said}</td></tr>'
