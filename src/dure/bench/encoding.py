"""One model and one device with texts to encode: passes over them, and what is told of a pass.

Knows how many texts make a pass of about the right length; which settings are worth a pass is others' business.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from dure.bench.clock import Clock, HostClock, device_clock, host_clock, is_real_gpu
from dure.bench.operations import operations, padded
from dure.bench.plain_model import PlainModel, Setting, in_order
from dure.bench.stages import StageTimes
from dure.bench.timing import Spread, Work
from dure.bench.tokenizing import IN_LINE, IN_PROCESSES, IN_THREAD, Source, source, tokenize
from dure.device.context import Context

_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Pass:
    """What some passes over the same texts came to.

    Args:
        num_texts: Texts of a pass.
        docs_per_s: Texts per second.
        flops: Operations per second, those on padding left out.
        padding: Share of the tokens that are padding.
        stages: Share of the time by stage. What is not in them is Python's; stages side by side add up to more than 1.
    """

    num_texts: int
    docs_per_s: Spread
    flops: float
    padding: float
    stages: dict[str, float]


@dataclass(frozen=True, slots=True)
class Clocks:
    """What time is read from: around a pass, by the host within it, and by the device within it."""

    around: Clock
    host: Clock
    device: Clock

    @classmethod
    def of(cls, context: Context) -> "Clocks":
        """Return the clocks of a device; what is computed in host memory is done when the call returns."""
        host = HostClock()
        return cls(host_clock(context), host, device_clock(context) if is_real_gpu(context) else host)


class Encoding:
    """A model on a device.

    Args:
        context: Where.
        model: The model, loaded there.
        texts: At least one; passes over more go round.
        clocks: What time is read from.
        pass_s: Seconds that a pass is to take, if nothing else is said.
    """

    def __init__(
        self, context: Context, model: PlainModel, texts: Sequence[str], clocks: Clocks, pass_s: float
    ) -> None:
        self.context = context
        self.model = model
        self.clocks = clocks
        self.texts = texts
        self.pass_s = pass_s
        chunks = [texts[at : at + _CHUNK] for at in range(0, len(texts), _CHUNK)]
        counted = [tokenize(model.tokenizer_path, model.max_length, chunk).mask.sum(1) for chunk in chunks]
        self.lengths: np.ndarray = np.concatenate(counted)

    def count(self, docs_per_s: float, batch_size: int, pass_s: float | None = None) -> int:
        """Return how many texts make a pass, in whole batches; at least two of them where there are as many texts."""
        wanted = docs_per_s * (self.pass_s if pass_s is None else pass_s)
        batches = round(min(wanted, len(self.texts)) / batch_size)
        return batch_size * max(1, min(2, len(self.texts) // batch_size), batches)

    def taken(self, count: int) -> list[str]:
        """Return so many texts, from the first on and round again."""
        return list(itertools.islice(itertools.cycle(self.texts), count))

    def runs(self, setting: Setting, tokens: Source, count: int) -> "Runs":
        """Return what runs a pass and remembers its stages."""
        return Runs(self, setting, tokens, self.taken(count))

    def embeddings(self, setting: Setting, tokens: Source, count: int) -> np.ndarray:
        """Return the embeddings of the first texts."""
        return self.model.encode(self.taken(count), setting, tokens, StageTimes(self.clocks.host, self.clocks.device))

    @contextmanager
    def sources(self) -> Iterator[dict[str, Source]]:
        """Make ready every way of tokenizing, by name."""
        with ExitStack() as stack:
            yield {
                where: stack.enter_context(source(where, self.model.tokenizer_path, self.model.max_length))
                for where in (IN_LINE, IN_THREAD, IN_PROCESSES)
            }


class Runs:
    """Passes over the same texts with one setting."""

    def __init__(self, encoding: Encoding, setting: Setting, tokens: Source, texts: Sequence[str]) -> None:
        self._encoding = encoding
        self._setting = setting
        self._tokens = tokens
        self._texts = texts
        self._stages: list[StageTimes] = []

    @property
    def work(self) -> Work:
        """One pass."""

        def run() -> None:
            stages = StageTimes(self._encoding.clocks.host, self._encoding.clocks.device)
            self._encoding.model.encode(self._texts, self._setting, self._tokens, stages)
            self._stages.append(stages)

        return run

    def told(self, seconds: Sequence[float]) -> Pass:
        """Return what the last passes came to.

        Args:
            seconds: How long each of them took.
        """
        spent: dict[str, float] = {}
        for stages in self._stages[-len(seconds) :]:
            for name, part in stages.seconds().items():
                spent[name] = spent.get(name, 0.0) + part
        shares = {name: part / sum(seconds) for name, part in spent.items()}
        order = in_order(self._texts, by_length=self._setting.by_length)
        known = self._encoding.lengths
        lengths = known[np.arange(len(self._texts)) % len(known)][order]
        rate = Spread.of(seconds).per_second(len(self._texts))
        flops = operations(lengths, self._encoding.model.shape) * rate.median / len(self._texts)
        full = padded(lengths, self._setting.batch_size)
        return Pass(len(self._texts), rate, flops, 1.0 - float(lengths.sum() / full.sum()), shares)
