import torch

from dure.learning.gradients import Told, pack, unpack


def network() -> list[torch.nn.Parameter]:
    return [
        torch.nn.Parameter(torch.zeros(2, 3)),
        torch.nn.Parameter(torch.zeros(4)),
        torch.nn.Parameter(torch.ones(1)),
    ]


def test_what_is_packed_is_there_again() -> None:
    parameters = network()
    parameters[0].grad = torch.arange(6.0).view(2, 3)
    parameters[2].grad = torch.tensor([7.0])
    vector = pack(parameters, Told(0.5, fits=True))
    assert all(parameter.grad is None for parameter in parameters), "the next share begins with none"
    assert unpack(parameters, vector) == Told(0.5, fits=True)
    assert torch.equal(parameters[0].grad, torch.arange(6.0).view(2, 3))
    assert parameters[1].grad is None, "an optimiser leaves alone what has no gradient"
    assert parameters[2].grad == torch.tensor([7.0])


def test_one_pass_that_did_not_fit_is_seen_in_the_sum() -> None:
    parameters = network()
    parameters[1].grad = torch.ones(4)
    total = pack(parameters, Told(0.25, fits=True)) + pack(parameters, Told(0.0, fits=False))
    assert unpack(parameters, total) == Told(0.25, fits=False)
    assert torch.equal(parameters[1].grad, torch.ones(4))
