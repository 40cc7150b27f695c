"""The real model, held against sentence-transformers; skipped where the extra `models` is not installed."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dure import Document, DocumentArray, cpu, gpu, no_transfers, transfers
from dure.device.simulated import simulated_gpus
from dure.errors import DeviceNotFound, ModelNotFound, SpecError, ValidationError
from dure.executor.stages import stages_into
from dure.nlp.encoder import SentenceEncoder
from tests.tiny_model import write_tiny_model

Reference = Callable[[list[str]], np.ndarray]

LONG = " ".join(f"word{i} and so on" for i in range(300))
TEXTS = [
    "Using a GPU allows you to significantly speed up encoding.",
    "",
    " ",
    "a",
    "GPU를 사용하면 인코딩 속도를 크게 높일 수 있습니다.",
    "두레는 한국 마을의 공동 노동 조직이다. 🎉👩‍🔬🇰🇷",
    "Ünïcödé, naïve café, ﬁﬂ, ①②③, x² — “quoted”",
    "日本語のテキスト、中文文本",
    "line\nbreaks\tand\x00control\x07 characters",
    "UPPER case and lower case",
    "[CLS] [MASK] <s> </s>",
    "GPU에서 Executors 구동하기".encode().decode("latin-1"),
    LONG,
]


def documents(texts: list[str]) -> DocumentArray:
    return DocumentArray(Document(text=text) for text in texts)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1))


@pytest.mark.timeout(180)  # two large libraries are imported
def test_embeddings_are_those_of_sentence_transformers(encoder: SentenceEncoder, reference: Reference) -> None:
    docs = documents(TEXTS)
    assert encoder.encode(docs) is None
    assert docs.embeddings.shape == (len(TEXTS), 384)
    assert docs.embeddings.dtype == np.float32
    expected = reference(TEXTS)
    assert cosine(docs.embeddings, expected).min() >= 0.99999
    np.testing.assert_allclose(docs.embeddings, expected, atol=1e-5)


def test_order_and_company_do_not_matter(encoder: SentenceEncoder) -> None:
    docs = documents([f"{'very ' * (i * 7 % 25)}long sentence number {i}" for i in range(40)])
    encoder.encode(docs)
    alone = documents([doc.text for doc in docs[::10]])
    for doc in alone:
        one = DocumentArray(doc)
        encoder.encode(one)
    np.testing.assert_allclose(alone.embeddings, docs[::10].embeddings, atol=1e-5)


def test_what_is_too_long_is_cut_off(encoder: SentenceEncoder) -> None:
    docs = documents([LONG, LONG + " nobody reads this far", "한 " * 300, "한 " * 333_333])
    encoder.encode(docs)
    np.testing.assert_allclose(docs.embeddings[::2], docs.embeddings[1::2], atol=1e-5)


@pytest.mark.parametrize("text", ["word " * 200_000, "x" * 1_000_000, " " * 999_990 + "at the end"])
def test_a_million_characters(text: str, encoder: SentenceEncoder, reference: Reference) -> None:
    docs = documents([text])
    encoder.encode(docs)
    assert cosine(docs.embeddings, reference([text])).min() >= 0.99999


def test_no_documents(encoder: SentenceEncoder) -> None:
    docs = DocumentArray()
    encoder.encode(docs)
    assert len(docs) == 0


def test_a_text_that_is_none_is_named(encoder: SentenceEncoder) -> None:
    with pytest.raises(ValidationError, match=r"texts\[1\]: no valid Unicode"):
        encoder.encode(documents(["fine", "broken \ud800"]))


def test_settings_of_the_caller_win(encoder: SentenceEncoder) -> None:
    text = "the same beginning, " * 3
    other = SentenceEncoder(normalize=False, max_length=8, batch_size=1)
    docs, cut = documents([text, text + "another end"]), documents([text, text + "another end"])
    encoder.encode(docs)
    other.encode(cut)
    assert np.linalg.norm(docs.embeddings, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert (np.abs(np.linalg.norm(cut.embeddings, axis=1) - 1) > 0.1).all()
    np.testing.assert_allclose(cut.embeddings[0], cut.embeddings[1], atol=1e-5)
    assert cosine(docs.embeddings[0], docs.embeddings[1]) < 0.999


def test_a_gpu_gives_the_same(encoder: SentenceEncoder) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip(f"PyTorch {torch.__version__} sees no GPU")
    texts = TEXTS + [f"{'very ' * (i * 7 % 25)}long sentence number {i}" for i in range(500)]
    here, there = documents(texts), documents(texts)
    encoder.encode(here)
    SentenceEncoder(device="cuda").encode(there)
    assert isinstance(there.embeddings, np.ndarray)
    assert cosine(here.embeddings, there.embeddings).min() >= 0.9999


def test_what_enters_and_leaves_a_device_is_counted(encoder: SentenceEncoder) -> None:
    docs = documents(TEXTS[:3])
    with no_transfers(), transfers() as here:
        encoder.encode(docs)
    assert here.num_moves == 0
    with simulated_gpus(2), transfers() as t:
        there = SentenceEncoder(device="cuda:1")
        parameters = t.between(cpu(), gpu(1)).num_bytes
        first = t.between(gpu(1), cpu()).num_bytes
        there.encode(docs)
    assert 80e6 < parameters < 100e6
    assert t.between(gpu(1), cpu()).num_bytes - first == docs.embeddings.nbytes == 3 * 384 * 4
    assert t.between(cpu(), gpu(1)).num_bytes > parameters


def test_requests_are_merged(encoder: SentenceEncoder) -> None:
    endpoint = encoder.requests["/encode"]
    assert (endpoint.method, endpoint.batching.max_batch_size) == ("encode", 256)


def test_stages_are_told(encoder: SentenceEncoder) -> None:
    here: dict[str, float] = {}
    with stages_into(here):
        encoder.encode(documents(TEXTS))
    assert here.keys() == {"tokenize", "model"}
    assert all(seconds > 0 for seconds in here.values())


def test_on_a_device_the_way_there_and_back_is_a_stage(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the extra `models` is not installed")
    there: dict[str, float] = {}
    with simulated_gpus(1):
        encoder = SentenceEncoder(str(write_tiny_model(tmp_path / "tiny")), device="cuda:0")
        with stages_into(there):
            encoder.encode(documents(TEXTS))
    assert there.keys() == {"tokenize", "transfer", "model"}


@pytest.mark.timeout(120)
def test_onnx_in_int8_is_near_and_says_how_near(
    encoder: SentenceEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for library in ("onnx", "onnxruntime"):
        pytest.importorskip(library, reason="the extra `onnx` is not installed")
    small = SentenceEncoder(backend="onnx", precision="int8", cache_folder=str(tmp_path))
    (line,) = [record.getMessage() for record in caplog.records if "cosine" in record.getMessage()]
    least, mean = map(float, re.findall(r"(?:least|mean) (0\.\d{4})", line))
    assert line.startswith("int8 by onnx: cosine to fp32 over 32 sentences: ")
    assert small.least_cosine == pytest.approx(least, abs=1e-4)
    assert mean >= 0.99
    assert 0.97 <= least < 1
    assert encoder.least_cosine == 1
    found, exact = documents(TEXTS), documents(TEXTS)
    small.encode(found)
    encoder.encode(exact)
    assert cosine(found.embeddings, exact.embeddings).mean() >= 0.98
    assert [path.suffix for path in tmp_path.iterdir()] == [".onnx"]


@pytest.mark.usefixtures("encoder")
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"model": "no-such-model"}, ModelNotFound, "no-such-model"),
        ({"device": "cdua"}, DeviceNotFound, r"Did you mean 'cuda'\?"),
        ({"device": "cuda:99"}, DeviceNotFound, r"gpu\(99\) is not on this machine"),
        ({"batch_size": 0}, SpecError, "batch_size: a whole number from 1, not 0"),
        ({"max_length": "256"}, SpecError, "max_length: a whole number from 1, not '256'"),
        ({"max_length": 2}, SpecError, "at least 3"),
        ({"max_length": 513}, SpecError, "at most 512 tokens"),
        ({"backend": "tensorflow"}, SpecError, "uses_with.backend: one of torch, onnx, not 'tensorflow'"),
        ({"precision": "int4"}, SpecError, r"fp32, bf16, fp16, int8, not 'int4'\. Did you mean 'int8'\?"),
        ({"precision": "fp16"}, SpecError, "one of fp32, bf16, int8, not in 'fp16'"),
        ({"backend": "onnx", "device": "cuda:99"}, SpecError, "'onnx' runs on the CPU only"),
        ({"modle": "x"}, SpecError, r"Did you mean 'model'\?"),
    ],
)
def test_wrong_settings(settings: dict[str, object], error: type[Exception], message: str) -> None:
    began = time.perf_counter()
    with pytest.raises(error, match=message):
        SentenceEncoder(**settings)  # type: ignore[arg-type]
    assert time.perf_counter() - began < 5


def test_what_is_wrong_is_told_before_the_libraries_are_imported() -> None:
    code = (
        "import sys\nfrom dure.nlp.encoder import SentenceEncoder\n"
        "for wrong in ({'device': 'cdua'}, {'model': 'no-such-model'}, {'batch_size': 0}, {'modle': 1}):\n"
        "    try: SentenceEncoder(**wrong)\n    except Exception: pass\n"
        "print([name for name in ('torch', 'transformers', 'tokenizers', 'huggingface_hub') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert run.stdout.strip() == "[]"
