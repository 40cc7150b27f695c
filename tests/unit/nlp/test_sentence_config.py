from pathlib import Path
from typing import Any

import pytest

from dure.errors import ModelError
from dure.nlp.sentence_config import SentenceConfig
from tests.unit.nlp.conftest import MODULES, WriteSnapshot

NEW_MODULES = [
    {"type": "sentence_transformers.base.modules.transformer.Transformer", "path": ""},
    {"type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling", "path": "1_Pooling"},
]


def test_all_settings(tmp_path: Path, write_snapshot: WriteSnapshot) -> None:
    assert SentenceConfig.read(write_snapshot(tmp_path)) == SentenceConfig("mean", True, 256, False)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"modules.json": MODULES[:2]}, {"normalize": False}),
        ({"modules.json": NEW_MODULES}, {"normalize": False}),
        ({"1_Pooling/config.json": {"pooling_mode": "cls"}}, {"pooling": "cls"}),
        ({"1_Pooling/config.json": {"pooling_mode": ["max"]}}, {"pooling": "max"}),
        ({"1_Pooling/config.json": {"pooling_mode_cls_token": True}}, {"pooling": "cls"}),
        ({"1_Pooling/config.json": {"pooling_mode_max_tokens": True}}, {"pooling": "max"}),
        ({"1_Pooling/config.json": {}}, {"pooling": "mean"}),
        ({"sentence_bert_config.json": {"do_lower_case": True}}, {"lowercase": True, "max_length": 384}),
        ({"sentence_bert_config.json": {}, "config.json": {"max_position_embeddings": 128}}, {"max_length": 128}),
        ({"config_sentence_transformers.json": {"default_prompt_name": None}}, {}),
    ],
)
def test_each_setting(
    changed: dict[str, Any], expected: dict[str, Any], tmp_path: Path, write_snapshot: WriteSnapshot
) -> None:
    found = SentenceConfig.read(write_snapshot(tmp_path, changed=changed))
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"modules.json": [*MODULES, {"type": "a.Dense", "path": "3_Dense"}]}, "this model is Transformer, .*, Dense"),
        ({"modules.json": MODULES[:1]}, "this model is Transformer"),
        ({"modules.json": [{**MODULES[0], "path": "0_Transformer"}, *MODULES[1:]]}, "not in a folder of its own"),
        ({"1_Pooling/config.json": {"pooling_mode": "lasttoken"}}, "not by lasttoken"),
        (
            {"1_Pooling/config.json": {"pooling_mode_mean_tokens": True, "pooling_mode_weightedmean_tokens": True}},
            "not by mean and weightedmean",
        ),
        ({"config_sentence_transformers.json": {"default_prompt_name": "query"}}, "its prompt 'query'"),
        ({"sentence_bert_config.json": {}, "tokenizer_config.json": {}, "config.json": {}}, "pass max_length"),
    ],
)
def test_what_would_have_to_be_ignored_is_refused(
    changed: dict[str, Any], message: str, tmp_path: Path, write_snapshot: WriteSnapshot
) -> None:
    with pytest.raises(ModelError, match=message):
        SentenceConfig.read(write_snapshot(tmp_path, changed=changed))
