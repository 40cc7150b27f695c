from dure.dataset.example import Span
from dure.learning.unit_tags import unit_tags
from dure.learning.units import units_of

TYPES = ("LC", "PS")


def test_entities_become_tags_of_units() -> None:
    units = units_of(["😀김철수는 서울역", "Bob Lee"])
    spans = [[Span(1, 4, "PS"), Span(6, 9, "LC")], [Span(0, 3, "PS"), Span(4, 7, "PS")]]
    tagged = unit_tags(units, spans, TYPES)
    assert tagged.tags.tolist() == [0, 3, 4, 4, 0, 1, 2, 2, 3, 3]
    assert (tagged.num_widened, tagged.num_left_out) == (0, 0)


def test_an_entity_may_hold_blanks() -> None:
    assert unit_tags(units_of(["New York City"]), [[Span(0, 13, "LC")]], TYPES).tags.tolist() == [1, 2, 2]


def test_a_border_inside_a_unit_widens_the_entity_and_is_counted() -> None:
    tagged = unit_tags(units_of(["unBobbed ok"]), [[Span(2, 5, "PS")]], TYPES)
    assert tagged.tags.tolist() == [3, 0]
    assert (tagged.num_widened, tagged.num_left_out) == (1, 0)


def test_what_no_tag_can_say_is_counted() -> None:
    units = units_of(["a  b c"])
    spans = [[Span(1, 3, "PS"), Span(0, 1, "??"), Span(3, 4, "PS"), Span(3, 6, "LC")]]
    tagged = unit_tags(units, spans, TYPES)
    assert tagged.tags.tolist() == [0, 3, 0]
    assert (tagged.num_widened, tagged.num_left_out) == (0, 3)
