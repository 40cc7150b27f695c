from dure.dataset.example import Span
from dure.learning.highlight import COLOURS, in_brackets, in_html, in_terminal
from dure.learning.prediction import Entity

TEXT = "김민수가 🙂 <Seoul> 갔다"
ENTITIES = [Entity("김민수", "PS", 0, 3, 0.97), Entity("Seoul", "LC", 8, 13, 0.5)]


def test_in_brackets() -> None:
    assert in_brackets(TEXT, ENTITIES) == "[김민수 PS]가 🙂 <[Seoul LC]> 갔다"
    assert in_brackets(TEXT, []) == TEXT


def test_in_html_everything_is_escaped() -> None:
    told = in_html(TEXT, ENTITIES)
    assert f'<mark style="background:{COLOURS[1]}" title="0.97">김민수<small> PS</small></mark>가' in told
    assert "&lt;<mark" in told
    assert in_html("a<b", [Span(1, 2, "<x>")]).count("<") == 4


def test_in_a_terminal() -> None:
    made = in_terminal(TEXT, ENTITIES, ("LC", "OG", "PS"))
    assert made.plain == "김민수 PS 가 🙂 <Seoul LC > 갔다"
    assert [str(span.style) for span in made.spans][::2] == [f"black on {COLOURS[2]}", f"black on {COLOURS[0]}"]


def test_a_text_commands_no_terminal() -> None:
    told = in_brackets("a\x1b[31mb\x07", [Span(1, 5, "X\x1b")])
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "\x1b" not in in_terminal("a\x1b[31mb", []).plain


def test_entities_side_by_side() -> None:
    assert in_brackets("AB", [Span(0, 1, "X"), Span(1, 2, "Y")]) == "[A X][B Y]"
