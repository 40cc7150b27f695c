"""Makes the files by which a snapshot needs no weights, PyTorch or transformers: its ONNX file, and what tells of it.

Runs where PyTorch is, for instance when an image is built.
"""

from pathlib import Path

import msgspec

from dure.device.context import cpu
from dure.nlp.fidelity import SENTENCES, compare
from dure.nlp.onnx_file import about_name, carried_name, onnx_file
from dure.nlp.precision import Computing
from dure.nlp.sentence_config import SentenceConfig
from dure.nlp.sentence_model import SentenceModel


def files_in_place_of_weights(folder: Path, precision: str) -> dict[str, Path | str]:
    """Export a snapshot, and measure how near the result is.

    Args:
        folder: A complete snapshot in the sentence-transformers format.
        precision: `fp32` or `int8`.

    Returns:
        Path in the snapshot -> a file, or a text.

    Raises:
        ModelError: It cannot be exported, or followed exactly.
        MissingDependency: The extra `onnx` is not installed.
    """
    computing = Computing("onnx", precision)
    found = onnx_file(folder, computing)
    config = SentenceConfig.read(folder)
    exact = SentenceModel(folder, config, cpu()).encode(SENTENCES)
    near = SentenceModel(folder, config, cpu(), computing=computing).encode(SENTENCES)
    least = round(compare(near, exact).least, 6)
    about = msgspec.structs.replace(found, path="", least_cosine=least)
    text = msgspec.json.format(msgspec.json.encode(about), indent=2).decode()
    return {carried_name(precision): Path(found.path), about_name(precision): text}
