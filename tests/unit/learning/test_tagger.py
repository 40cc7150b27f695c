import resource
from pathlib import Path

import pytest

from dure.device.context import cpu
from dure.errors import ModelError
from dure.learning.kinds import load_model
from dure.learning.prediction import Entity
from dure.learning.recipe import Recipe
from dure.learning.scores import entity_scores
from dure.learning.tagger import CrfTagger
from dure.learning.training import train
from tests.unit.learning.tagged_sentences import tagged_sentences


@pytest.fixture(scope="module")
def tagger() -> CrfTagger:
    parts = tagged_sentences(240, 0), tagged_sentences(60, 1)
    model = train(Recipe(task="ner", epochs=8, batch_size=16, seed=1), parts).model
    assert isinstance(model, CrfTagger)
    return model


def close(one: list[list[Entity]], other: list[list[Entity]]) -> bool:
    def places(found: list[list[Entity]]) -> list[list[tuple[str, str, int, int]]]:
        return [[(entity.text, entity.type, entity.start, entity.end) for entity in each] for each in found]

    first, second = ([entity.score for each in found for entity in each] for found in (one, other))
    return places(one) == places(other) and all(abs(a - b) < 1e-5 for a, b in zip(first, second, strict=True))


def test_it_finds_names_that_it_has_never_seen(tagger: CrfTagger) -> None:
    gold = tagged_sentences(100, 2)
    found = tagger.predict([example.text for example in gold])
    scores = entity_scores([example.entities for example in gold], found)
    assert scores.entity_f1 > 0.8
    assert min(score.f1 for score in scores.per_type.values()) > 0.6
    assert tagger.labels == ("DT", "LC", "PS")


def test_offsets_are_code_points_and_leave_particles_alone(tagger: CrfTagger) -> None:
    text = "😀👍🏽 나는 김철수씨를 전주에서 만났다."
    (found,) = tagger.predict([text])
    assert {(entity.text, entity.type) for entity in found} == {("김철수", "PS"), ("전주", "LC")}
    assert all(text[entity.start : entity.end] == entity.text for entity in found)
    assert all(0 < entity.score <= 1 for entity in found)


def test_what_stands_beside_a_text_changes_nothing(tagger: CrfTagger) -> None:
    texts = [example.text for example in tagged_sentences(40, 2)] + [" ".join(["Mr Ann Marsh moved ."] * 7)[:140], "a"]
    together = tagger.predict(texts)
    alone = [tagger.predict([text])[0] for text in texts]
    assert sum(map(len, alone)) > 40
    assert close(together, alone)
    assert close(tagger.predict(texts, batch_size=3), alone)


def test_texts_without_units_have_no_entities(tagger: CrfTagger) -> None:
    assert tagger.predict([]) == []
    assert tagger.predict(["", " \n\t", "\u200b"]) == [[], [], []]


@pytest.mark.parametrize("odd", ["ㅋㅋㅋㅋ", "\ud83d", "a\x00b", "ᄀ", "\U0010ffff", "." * 600, "가" * 600])
def test_odd_texts_are_answered(tagger: CrfTagger, odd: str) -> None:
    for entity in tagger.predict([odd])[0]:
        assert odd[entity.start : entity.end] == entity.text


def test_a_long_text_is_read_in_windows_and_nothing_is_lost_at_their_borders(tagger: CrfTagger) -> None:
    sentence = "나는 김철수씨를 전주에서 만났다. "
    (found,) = tagger.predict([sentence * 200])
    expected = [
        (len(sentence) * number + start, kind) for number in range(200) for start, kind in ((3, "PS"), (9, "LC"))
    ]
    assert [(entity.start, entity.type) for entity in found] == expected


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_characters_take_no_more_memory_than_a_hundred_thousand(tagger: CrfTagger) -> None:
    sentence = "나는 김철수씨를 전주에서 만났다. "
    tagger.predict([sentence * (100_000 // len(sentence))])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = sentence * (1_000_000 // len(sentence))
    (found,) = tagger.predict([text])
    assert len(found) == 2 * (len(text) // len(sentence))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def test_it_is_loaded_as_it_was_saved(tagger: CrfTagger, tmp_path: Path) -> None:
    tagger.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "weights.safetensors"]
    texts = [example.text for example in tagged_sentences(30, 2)]
    loaded = load_model(tmp_path, cpu())
    assert isinstance(loaded, CrfTagger)
    assert (loaded.labels, loaded.decoding) == (tagger.labels, tagger.decoding)
    assert loaded.predict(texts) == tagger.predict(texts)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_file_is_named(tagger: CrfTagger, tmp_path: Path, name: str, damage: str) -> None:
    tagger.save(tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    if damage == "other" and name == "model.json":
        path.write_text(whole.decode().replace('"PS"', '"PS", "QT"'))
    elif damage == "other":
        path.write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_model(tmp_path, cpu())
