"""How large images are: builds those of `hub/`, and prints the table of docs/offline-images.md.

    python benchmarks/images.py --base python:3.11-slim
    python benchmarks/images.py --base my/slim --wheels wheels [--gpu-wheels gpu_wheels]

Where pypi.org can be reached, no wheels are needed; `--gpu` builds the image for GPUs as well (3 GB to download).
"""

import argparse
import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from dure.deps import require

HUB = Path(__file__).parents[1] / "hub"
MODEL = ["--model", "all-MiniLM-L6-v2"]
ONNX = [*MODEL, "--requirements", "requirements-onnx.txt", "--uses-with", "backend=onnx"]
IMAGES = {
    "SentenceEncoder, ONNX Runtime, int8": (
        "SentenceEncoder",
        "cpu",
        [*ONNX, "--onnx", "int8", "--uses-with", "precision=int8"],
    ),
    "SentenceEncoder, ONNX Runtime, fp32": ("SentenceEncoder", "cpu", [*ONNX, "--onnx", "fp32"]),
    "SentenceEncoder, PyTorch": ("SentenceEncoder", "cpu", MODEL),
    "TransformerTorchEncoder, PyTorch": ("TransformerTorchEncoder", "cpu", MODEL),
    "SentenceEncoder, PyTorch with CUDA": ("SentenceEncoder", "gpu", []),
}
"""Title -> bundle, device, options."""


def main() -> None:
    """Build and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="python:3.11-slim")
    parser.add_argument("--wheels", help="folder of wheels for the images for CPUs")
    parser.add_argument("--gpu-wheels", help="folder of wheels for the image for GPUs")
    parser.add_argument("--gpu", action="store_true", help="build the image for GPUs as well")
    told = parser.parse_args()
    print("| image | base MB | packages MB | model MB | in all MB |\n|---|---|---|---|---|")
    with contextlib.closing(require("docker", "docker").from_env()) as client:
        for number, (title, (bundle, device, options)) in enumerate(IMAGES.items()):
            wheels = told.gpu_wheels if device == "gpu" else told.wheels
            if device == "gpu" and not (told.gpu or wheels):
                continue
            tag = f"dure-measured/{bundle.lower()}:{number}"
            more = [] if wheels is None else ["--wheels", wheels]
            build(HUB / bundle, "--device", device, "--base", told.base, "--tag", tag, *options, *more)
            print(row(title, client.images.get(tag)), flush=True)


def build(*words: object) -> None:
    """Run `dure hub build`."""
    command = [sys.executable, "-m", "dure.cli.main", "hub", "build", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def row(title: str, image: Any) -> str:
    """Return a line of the table."""
    parts = {"packages": 0, "models": 0}
    for layer in image.history():
        text = layer["CreatedBy"]
        parts["packages"] += layer["Size"] if "/opt/venv" in text else 0
        parts["models"] += layer["Size"] if "/bundle/models" in text else 0
    size = image.attrs["Size"]
    numbers = [size - sum(parts.values()), parts["packages"], parts["models"], size]
    return f"| {title} | " + " | ".join(f"{number / 1e6:,.0f}" for number in numbers) + " |"


if __name__ == "__main__":
    main()
