"""Streams: queues of work on a GPU that may run beside each other.

Knows PyTorch's; what other libraries do with a thread is theirs.
"""

import sys


def use_own_stream() -> None:
    """Give this thread a stream of its own on the GPU that PyTorch uses; nothing where it uses none.

    A thread that asked for none shares the default stream, on which work runs one after the other.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()  # what the constructor has begun on the default stream, weights above all
        torch.cuda.set_stream(torch.cuda.Stream())
