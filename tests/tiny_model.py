"""A model in the sentence-transformers format, so small that it is loaded and run in milliseconds. Its weights mean
nothing; they are stored in half precision, as those that are carried to other machines are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:;!?'\"()-_"
HIDDEN_SIZE, NUM_LAYERS, INTERMEDIATE_SIZE, MAX_LENGTH = 32, 2, 64, 64


def write_tiny_model(folder: Path, words: Sequence[str] = ()) -> Path:
    """Write the model; needs the extra `models`. A token is a letter, or one of these words."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    vocabulary = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), *words]
    tokenizer = Tokenizer(models.WordPiece({text: at for at, text in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    model: Any = BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=HIDDEN_SIZE,
            num_hidden_layers=NUM_LAYERS,
            num_attention_heads=2,
            intermediate_size=INTERMEDIATE_SIZE,
            max_position_embeddings=MAX_LENGTH,
            initializer_range=0.3,  # texts are to differ
        )
    )
    model.half().save_pretrained(folder)
    files = {
        "modules.json": MODULES,
        "1_Pooling/config.json": {"word_embedding_dimension": HIDDEN_SIZE, "pooling_mode_mean_tokens": True},
        "2_Normalize/config.json": {},
        "sentence_bert_config.json": {"max_seq_length": MAX_LENGTH, "do_lower_case": False},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": MAX_LENGTH,
            **{f"{name}_token": text for name, text in zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True)},
        },
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder
