"""A linear-chain conditional random field over BIO tags.

Knows which tag may follow which, the likelihood of a path, the best path and how likely one entity is. All sums run
over a batch at once and loop over time only; what lies beyond a sequence's length has no part in them.
Does not know where emissions come from. Shapes: time T, batch B, tags L.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

_NEVER = -1e4  # a log weight whose exponential is 0 in float32, and which stays finite in sums


class Weights(NamedTuple):
    """Log weights of a field: of the first tag (L), of one tag after another (L, L: from, to), of the last tag (L)."""

    starts: Tensor
    transitions: Tensor
    ends: Tensor


class Found(NamedTuple):
    """Entities in a batch of paths, one element each: all of shape (entities,)."""

    row: Tensor
    first: Tensor
    last: Tensor  # inclusive
    type: Tensor
    score: Tensor


class Crf(nn.Module):
    """Weights of starting, following and ending tags.

    Tag 0 is O; type k begins with tag 1 + 2 k and goes on with tag 2 + 2 k. A tag that goes on follows only the two
    tags of its own type, and never comes first.

    Args:
        num_types: How many types of entities, at least 1.
    """

    _illegal: Tensor
    _illegal_starts: Tensor

    def __init__(self, num_types: int) -> None:
        super().__init__()
        self.num_tags = 1 + 2 * num_types
        self.transitions = nn.Parameter(torch.zeros(self.num_tags, self.num_tags))
        self.starts = nn.Parameter(torch.zeros(self.num_tags))
        self.ends = nn.Parameter(torch.zeros(self.num_tags))
        tags = torch.arange(self.num_tags)
        goes_on = (tags > 0) & (tags % 2 == 0)
        same_type = (tags[:, None] + 1) // 2 == (tags[None] + 1) // 2
        self.register_buffer("_illegal", _NEVER * (goes_on[None] & ~same_type), persistent=False)
        self.register_buffer("_illegal_starts", _NEVER * goes_on, persistent=False)

    def weights(self, temperature: float = 1.0) -> Weights:
        """Return the log weights, divided by a temperature, illegal ones at -10,000."""
        starts, transitions = self.starts / temperature, self.transitions / temperature
        return Weights(starts + self._illegal_starts, transitions + self._illegal, self.ends / temperature)

    def log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the log probability of each path.

        Args:
            emissions: Log weights (T, B, L).
            tags: The paths, (T, B) int64; what lies beyond a length is not read.
            lengths: (B) int64, each from 1 to T.

        Returns:
            (B) of the emissions' type.
        """
        weights = self.weights()
        there = _there(emissions, lengths)
        tags = torch.where(there, tags, 0)
        emitted = emissions.gather(2, tags[:, :, None])[:, :, 0]
        last = tags.gather(0, lengths[None] - 1)[0]
        path = (emitted * there).sum(0) + weights.starts[tags[0]] + weights.ends[last]
        path = path + (weights.transitions[tags[:-1], tags[1:]] * there[1:]).sum(0)
        return path - torch.logsumexp(forward_sums(weights, emissions, lengths)[-1] + weights.ends, 1)

    def entities(self, emissions: Tensor, lengths: Tensor, boldness: float = 0.0, temperature: float = 1.0) -> Found:
        """Find the entities on the best paths, in order of row and place.

        The score of one is the probability, under this field at a temperature, that exactly these places are one entity
        of this type: summed over all paths that agree on it, whatever they say of the rest.

        Args:
            emissions: Log weights (T, B, L).
            lengths: (B) int64, each from 1 to T.
            boldness: Taken from the log weights of O before the best path is looked for; scores do not see it.
            temperature: Log weights are divided by it for scores; the best path does not change with it.
        """
        shift = torch.zeros_like(emissions[0, 0])
        shift[0] = boldness
        paths = best_paths(self.weights(), emissions - shift, lengths).T
        row, first = torch.nonzero(paths % 2 == 1, as_tuple=True)
        # The last place of an entity is before the next one that does not go on.
        goes_on = (paths > 0) & (paths % 2 == 0)
        end = paths.shape[1]
        stops = torch.where(goes_on, end, torch.arange(end, device=paths.device)).flip(1).cummin(1).values.flip(1)
        stops = torch.cat([stops[:, 1:], stops.new_full((len(paths), 1), end)], 1)
        kind = torch.div(paths[row, first] - 1, 2, rounding_mode="floor")
        places = Found(row, first, stops[row, first] - 1, kind, torch.zeros_like(row, dtype=emissions.dtype))
        if not len(row):
            return places
        weights = self.weights(temperature)
        return places._replace(score=_probabilities(weights, emissions / temperature, lengths, places))


def forward_sums(weights: Weights, emissions: Tensor, lengths: Tensor) -> list[Tensor]:
    """Return for each time the log sums (B, L) over all paths up to it; beyond a length, those at its end."""
    there = _there(emissions, lengths)
    steps = weights.transitions.exp().to(emissions.dtype)
    sums = [weights.starts + emissions[0]]
    for time in range(1, len(emissions)):
        ahead = _log_product(sums[-1], steps) + emissions[time]
        sums.append(torch.where(there[time, :, None], ahead, sums[-1]))
    return sums


def backward_sums(weights: Weights, emissions: Tensor, lengths: Tensor) -> list[Tensor]:
    """Return for each time the log sums (B, L) over all that may follow it; at the last one and beyond, the ends."""
    there = _there(emissions, lengths)
    steps = weights.transitions.exp().to(emissions.dtype).T
    sums = [weights.ends.expand_as(emissions[0])]
    for time in range(len(emissions) - 1, 0, -1):
        behind = _log_product(emissions[time] + sums[-1], steps)
        sums.append(torch.where(there[time, :, None], behind, sums[-1]))
    return sums[::-1]


def best_paths(weights: Weights, emissions: Tensor, lengths: Tensor) -> Tensor:
    """Return the most probable path of each sequence, (T, B) int64, 0 beyond its length (Viterbi)."""
    there = _there(emissions, lengths)
    score = weights.starts + emissions[0]
    before = []
    for time in range(1, len(emissions)):
        best, where = (score[:, :, None] + weights.transitions).max(1)
        before.append(where)
        score = torch.where(there[time, :, None], best + emissions[time], score)
    tag = (score + weights.ends).argmax(1)
    path = [tag]
    for time in range(len(emissions) - 1, 0, -1):
        tag = torch.where(there[time], before[time - 1].gather(1, tag[:, None])[:, 0], tag)
        path.append(tag)
    return torch.stack(path[::-1]) * there


def _probabilities(weights: Weights, emissions: Tensor, lengths: Tensor, places: Found) -> Tensor:
    _, transitions, ends = weights
    row, first, last, kind, _ = places
    ahead = torch.stack(forward_sums(weights, emissions, lengths))
    behind = torch.stack(backward_sums(weights, emissions, lengths))
    whole = torch.logsumexp(ahead[-1] + ends, 1)
    begin, inside = 1 + 2 * kind, 2 + 2 * kind
    # Emissions of going on, summed from the left: those within an entity are a difference of two sums.
    sums = emissions[:, :, 2::2].cumsum(0)
    many = (last > first).to(emissions.dtype)
    joints = transitions[begin, inside] + (last - first - 1) * transitions[inside, inside]
    within = sums[last, row, kind] - sums[first, row, kind] + many * joints
    tag = torch.where(last > first, inside, begin)
    after = (last + 1).clamp(max=len(emissions) - 1)
    follows = transitions[tag] + emissions[after, row] + behind[after, row]
    follows = torch.logsumexp(follows.scatter(1, inside[:, None], _NEVER), 1)
    follows = torch.where(last == lengths[row] - 1, ends[tag], follows)
    return (ahead[first, row, begin] + within + follows - whole[row]).exp().clamp(0, 1)


def _log_product(sums: Tensor, steps: Tensor) -> Tensor:
    """Return log(exp(sums) @ steps), row by row."""
    top = sums.detach().amax(1, keepdim=True)
    total = (sums - top).exp() @ steps
    # Every tag can follow some tag: a total is 0 only where it is too small to be told from 0 beside the others.
    return total.clamp_min(torch.finfo(total.dtype).tiny).log() + top


def _there(emissions: Tensor, lengths: Tensor) -> Tensor:
    return torch.arange(len(emissions), device=emissions.device)[:, None] < lengths[None]
