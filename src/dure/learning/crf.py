"""A linear-chain conditional random field over BIO tags.

Knows which tag may follow which, the likelihood of a path, the best path and how likely one entity is. All sums run
over a batch at once and loop over time only; what lies beyond a sequence's length has no part in them.
Does not know where emissions come from. Shapes: time T, batch B, tags L.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

_NEVER = -1e4  # a log weight whose exponential is 0 in float32, and which stays finite in sums


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

    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log weights of starts (L), transitions (L, L: from, to) and ends (L), illegal ones at -10,000."""
        illegal, illegal_starts = self.get_buffer("_illegal"), self.get_buffer("_illegal_starts")
        return self.starts + illegal_starts, self.transitions + illegal, self.ends

    def log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the log probability of each path.

        Args:
            emissions: Log weights (T, B, L).
            tags: The paths, (T, B) int64; what lies beyond a length is not read.
            lengths: (B) int64, each from 1 to T.

        Returns:
            (B) of the emissions' type.
        """
        starts, transitions, ends = self.weights()
        there = _there(emissions, lengths)
        rows = torch.arange(emissions.shape[1], device=emissions.device)
        tags = torch.where(there, tags, 0)
        emitted = emissions.gather(2, tags[:, :, None])[:, :, 0]
        path = (emitted * there).sum(0) + starts[tags[0]] + ends[tags[lengths - 1, rows]]
        path = path + (transitions[tags[:-1], tags[1:]] * there[1:]).sum(0)
        return path - torch.logsumexp(self.forward_sums(emissions, lengths)[-1] + ends, 1)

    def forward_sums(self, emissions: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return for each time the log sums (B, L) over all paths up to it; beyond a length, those at its end."""
        starts, transitions, _ = self.weights()
        there = _there(emissions, lengths)
        sums = [starts + emissions[0]]
        for time in range(1, len(emissions)):
            ahead = torch.logsumexp(sums[-1][:, :, None] + transitions, 1) + emissions[time]
            sums.append(torch.where(there[time, :, None], ahead, sums[-1]))
        return sums

    def backward_sums(self, emissions: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return for each time the log sums (B, L) over all that may follow it; at and beyond the last, the ends."""
        _, transitions, ends = self.weights()
        there = _there(emissions, lengths)
        sums = [ends.expand_as(emissions[0])]
        for time in range(len(emissions) - 1, 0, -1):
            behind = torch.logsumexp(transitions + (emissions[time] + sums[-1])[:, None, :], 2)
            sums.append(torch.where(there[time, :, None], behind, sums[-1]))
        return sums[::-1]

    def best_paths(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return the most probable path of each sequence, (T, B) int64, 0 beyond its length (Viterbi)."""
        starts, transitions, ends = self.weights()
        there = _there(emissions, lengths)
        weight = starts + emissions[0]
        before = []
        for time in range(1, len(emissions)):
            best, where = (weight[:, :, None] + transitions).max(1)
            before.append(where)
            weight = torch.where(there[time, :, None], best + emissions[time], weight)
        tag = (weight + ends).argmax(1)
        path = [tag]
        for time in range(len(emissions) - 1, 0, -1):
            tag = torch.where(there[time], before[time - 1].gather(1, tag[:, None])[:, 0], tag)
            path.append(tag)
        return torch.stack(path[::-1]) * there

    def entities(self, emissions: Tensor, lengths: Tensor) -> Found:
        """Find the entities on the best paths, in order of row and place.

        The score of one is the probability, under this field, that exactly these places are one entity of this type:
        summed over all paths that agree on it, whatever they say of the rest.
        """
        paths = self.best_paths(emissions, lengths).T
        row, first = torch.nonzero(paths % 2 == 1, as_tuple=True)
        goes_on = (paths > 0) & (paths % 2 == 0)
        # The last place of an entity: before the next place, from its first, that does not go on.
        times = torch.arange(paths.shape[1], device=paths.device)
        stops = torch.where(goes_on, paths.shape[1], times).flip(1).cummin(1).values.flip(1)
        stops = torch.cat([stops[:, 1:], stops.new_full((len(paths), 1), paths.shape[1])], 1)
        last = stops[row, first] - 1
        kind = torch.div(paths[row, first], 2, rounding_mode="floor")
        places = Found(row, first, last, kind, torch.zeros_like(row, dtype=emissions.dtype))
        return places._replace(score=self._probabilities(emissions, lengths, places))

    def _probabilities(self, emissions: Tensor, lengths: Tensor, places: Found) -> Tensor:
        if not len(places.row):
            return places.score
        _, transitions, ends = self.weights()
        row, first, last, kind, _ = places
        ahead = torch.stack(self.forward_sums(emissions, lengths))
        behind = torch.stack(self.backward_sums(emissions, lengths))
        whole = torch.logsumexp(ahead[-1] + ends, 1)
        begin, inside = 1 + 2 * kind, 2 + 2 * kind
        # What goes on from place to place, summed from the left: the part within an entity is a difference of two.
        steps = emissions[:, :, 2::2].cumsum(0)
        within = steps[last, row, kind] - steps[first, row, kind]
        many = last > first
        within = within + many * (transitions[begin, inside] + (last - first - 1) * transitions[inside, inside])
        tag = torch.where(many, inside, begin)
        after = (last + 1).clamp(max=len(emissions) - 1)
        follows = transitions[tag] + emissions[after, row] + behind[after, row]
        follows = torch.logsumexp(follows.scatter(1, inside[:, None], _NEVER), 1)
        follows = torch.where(last == lengths[row] - 1, ends[tag], follows)
        return (ahead[first, row, begin] + within + follows - whole[row]).exp().clamp(0, 1)


def _there(emissions: Tensor, lengths: Tensor) -> Tensor:
    return torch.arange(len(emissions), device=emissions.device)[:, None] < lengths[None]
