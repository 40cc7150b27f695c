from itertools import pairwise, product

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.learning.crf import Crf, best_paths


def legal(path: tuple[int, ...]) -> bool:
    before = 0
    for tag in path:
        if tag > 0 and tag % 2 == 0 and before not in (tag, tag - 1):
            return False
        before = tag
    return True


def weight(crf: Crf, emissions: torch.Tensor, path: tuple[int, ...]) -> torch.Tensor:
    total = crf.starts[path[0]] + crf.ends[path[-1]] + sum(emissions[time, tag] for time, tag in enumerate(path))
    return total + sum(crf.transitions[a, b] for a, b in pairwise(path))


def entities(path: tuple[int, ...]) -> set[tuple[int, int, int]]:
    begins = [time for time, tag in enumerate(path) if tag % 2]
    found = set()
    for begin in begins:
        end = begin
        while end + 1 < len(path) and path[end + 1] == path[begin] + 1:
            end += 1
        found.add((begin, end, (path[begin] - 1) // 2))
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 2), st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 2**31), st.floats(0.5, 3))
def test_everything_is_what_counting_all_legal_paths_gives(
    num_types: int, lengths: list[int], seed: int, temperature: float
) -> None:
    torch.manual_seed(seed)
    crf = Crf(num_types).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    emissions = 2 * torch.randn(max(lengths), len(lengths), crf.num_tags, dtype=torch.float64)
    sizes = torch.tensor(lengths)
    with torch.no_grad():
        best = best_paths(crf.weights(), emissions, sizes)
        found = crf.entities(emissions, sizes, temperature=temperature)
        for row, length in enumerate(lengths):
            paths = [path for path in product(range(crf.num_tags), repeat=length) if legal(path)]
            weights = torch.stack([weight(crf, emissions[:, row], path) for path in paths])
            first = paths[int(weights.argmax())]
            assert tuple(best[:length, row].tolist()) == first
            assert not best[length:, row].any()
            gold = paths[seed % len(paths)]
            tags = torch.full((max(lengths), len(lengths)), 1)
            tags[:length, row] = torch.tensor(gold)
            expected = weights[paths.index(gold)] - torch.logsumexp(weights, 0)
            torch.testing.assert_close(crf.log_likelihood(emissions, tags, sizes)[row], expected)
            shares = torch.softmax(weights / temperature, 0)
            mine = [n for n in range(len(found.row)) if found.row[n] == row]
            said = {(int(found.first[n]), int(found.last[n]), int(found.type[n])): found.score[n] for n in mine}
            assert set(said) == entities(first)
            for place, score in said.items():
                agreeing = [place in entities(path) for path in paths]
                torch.testing.assert_close(score, shares[torch.tensor(agreeing)].sum())


def test_no_tag_goes_on_where_none_of_its_type_began() -> None:
    torch.manual_seed(0)
    crf = Crf(3)
    emissions = 30 * torch.randn(40, 64, crf.num_tags)
    emissions[:, :, 2::2] += 30  # all wish to go on
    lengths = torch.randint(1, 41, (64,))
    paths = best_paths(crf.weights(), emissions, lengths).T.tolist()
    assert all(legal(tuple(path)) for path in paths)
    assert any(tag and tag % 2 == 0 for path in paths for tag in path)


def test_boldness_finds_more_and_leaves_scores_alone() -> None:
    torch.manual_seed(1)
    crf = Crf(2)
    emissions = torch.randn(12, 20, crf.num_tags)
    emissions[:, :, 0] += 2
    lengths = torch.full((20,), 12)
    with torch.no_grad():
        shy, bold = crf.entities(emissions, lengths), crf.entities(emissions, lengths, boldness=2.0)
    assert len(bold.row) > len(shy.row) > 0
    scores = {tuple(place): score for *place, score in zip(*(part.tolist() for part in bold), strict=True)}
    shared = [(tuple(place), score) for *place, score in zip(*(part.tolist() for part in shy), strict=True)]
    both = [(score, scores[place]) for place, score in shared if place in scores]
    assert both
    assert all(abs(one - other) < 1e-5 for one, other in both)


def test_training_pulls_the_true_path_up() -> None:
    torch.manual_seed(2)
    crf = Crf(1)
    emissions = torch.zeros(3, 1, 3, requires_grad=True)
    tags, lengths = torch.tensor([[0], [1], [2]]), torch.tensor([3])
    optimizer = torch.optim.SGD([emissions, *crf.parameters()], lr=0.5)
    before = crf.log_likelihood(emissions, tags, lengths).item()
    for _ in range(20):
        optimizer.zero_grad()
        torch.autograd.backward(-crf.log_likelihood(emissions, tags, lengths))
        optimizer.step()
    after = crf.log_likelihood(emissions, tags, lengths).item()
    assert before < -1
    assert -0.5 < after < 0
