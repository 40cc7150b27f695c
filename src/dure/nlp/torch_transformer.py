"""A transformer computed by PyTorch, in one of four precisions.

Knows weights and devices; knows nothing of texts, of pooling or of Documents.
"""

import re
import warnings
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dure.deps import require
from dure.device.context import Context, cpu
from dure.device.library import place_of, torch_device
from dure.device.transfer import Move
from dure.errors import ModelError

if TYPE_CHECKING:
    import torch

_DTYPES = {"bf16": "bfloat16", "fp16": "float16"}
_BACK_TO_HIDDEN = re.compile(r"layer[./](\d+)[./](?:\w+[./])?output[./]dense")


class TorchTransformer:
    """See `dure.nlp.transformer.Transformer`.

    Args:
        folder: A complete snapshot.
        context: Where it lives.
        precision: In which numbers its layers compute.

    Raises:
        DeviceNotFound: The device does not exist, or PyTorch cannot use it.
        ModelError: The weights do not fit the model's config.json.
        MissingDependency: The extra `models` is not installed.
    """

    def __init__(self, folder: Path, context: Context, precision: str) -> None:
        self._torch = require("torch", "models")
        model = _in_precision(load_model(folder), precision)
        place, device = place_of(context, "torch"), torch_device(context)
        num_bytes = sum(part.nbytes for part in chain(model.parameters(), model.buffers()))
        self._model = Move(cpu(), context, num_bytes, place.settle).make(lambda: model.to(device))
        config = self._model.config
        self.hidden_size = int(config.hidden_size)
        self.max_tokens, self.pad_id = token_limits(config)

    def __call__(self, ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        """Return the hidden states."""
        hidden: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden.float()


def token_limits(config: Any) -> tuple[int, int]:
    """Return how many tokens a text may have, and the number of the one that fills up."""
    return int(getattr(config, "max_position_embeddings", None) or 2**31), int(config.pad_token_id or 0)


def keeps_fp32(layer: str, num_layers: int) -> bool:
    """Return whether a matrix product stays in fp32 where the others are int8.

    Those back to the hidden size in the first third of the layers: their inputs hold the few values that are a hundred
    times the others, so that 8 bits leave the others next to nothing. Measured: docs/frameworks.md.

    Args:
        layer: Its name, with dots or slashes: `encoder.layer.0.attention.output.dense`.
        num_layers: Layers of the transformer.
    """
    found = _BACK_TO_HIDDEN.search(layer)
    return found is not None and int(found[1]) * 3 < num_layers


def load_model(folder: Path) -> Any:
    """Return a snapshot's transformer as transformers has it, in fp32, on the host, ready to compute.

    Raises:
        ModelError: The weights do not fit the model's config.json.
        MissingDependency: The extra `models` is not installed.
    """
    transformers = require("transformers", "models")
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, report = transformers.AutoModel.from_pretrained(
            folder,
            dtype=require("torch", "models").float32,
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, require("safetensors", "models").SafetensorError) as error:
        raise ModelError(f"{folder}: transformers cannot load it: {error}") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    # What is missing was filled with random numbers. A pooler may be: what comes out of it is not used.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise ModelError(f"{folder}: the weights lack {', '.join(missing)}, which config.json speaks of.")
    return model.eval()


def _in_precision(model: Any, precision: str) -> Any:
    if precision == "int8":
        return _quantised(model)
    return model.to(getattr(require("torch", "models"), _DTYPES[precision])) if precision in _DTYPES else model


def _quantised(model: Any) -> Any:
    torch = require("torch", "models")
    num_layers = int(getattr(model.config, "num_hidden_layers", 0))
    with warnings.catch_warnings():
        # PyTorch's successor to it, torchao, is one more library; the extra pins a PyTorch that has it.
        warnings.simplefilter("ignore")
        quantisation = torch.ao.quantization
        layers = {
            name: quantisation.per_channel_dynamic_qconfig
            for name, layer in model.named_modules()
            if isinstance(layer, torch.nn.Linear) and not keeps_fp32(name, num_layers)
        }
        return quantisation.quantize_dynamic(model, layers, inplace=True)
