"""What dure is compared with: the model in a loop of sentence-transformers' own `encode`, in a process of its own.

    python bare_encoder.py MODEL DEVICE TEXTS.json

Then it answers questions: {"size": texts given to `encode` at once, "count": how many of the texts, "batch": its
batch_size if not size, "dtype": a PyTorch type}; without a dtype it stays what it was, and at first the model is made
float32. The answer: {"seconds", "cpu_s", "first": the first embedding}. {"embed": count} is answered by {"embeddings"}.
"""

import json
import sys
import time
from pathlib import Path


def main(folder: str, device: str, path: str) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    texts = json.loads(Path(path).read_text(encoding="utf-8"))
    model = SentenceTransformer(folder, device=device).to(torch.float32)
    model.encode(texts[:32], batch_size=32)
    on_gpu = device.startswith("cuda")
    told = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
    }
    print(json.dumps(told), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "embed" in asked:
            print(json.dumps({"embeddings": model.encode(texts[: asked["embed"]]).tolist()}), flush=True)
            continue
        if "dtype" in asked:
            model.to(getattr(torch, asked["dtype"]))
        size, some = asked["size"], texts[: asked["count"]]
        if asked.get("warm"):
            model.encode(some[:size], batch_size=size)
        start, cpu_start = time.perf_counter(), time.process_time()
        batch = asked.get("batch", size)
        parts = [model.encode(some[at : at + size], batch_size=batch) for at in range(0, len(some), size)]
        told = {
            "seconds": time.perf_counter() - start,
            "cpu_s": time.process_time() - cpu_start,
            "first": [float(x) for x in parts[0][0]],
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
