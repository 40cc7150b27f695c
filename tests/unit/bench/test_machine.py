import json

from dure.bench.machine import described, name_of, num_cores
from dure.device.context import Context, cpu


def test_a_simulated_gpu_is_never_taken_for_a_real_one(simulated: Context) -> None:
    about = described([cpu(), simulated])
    assert [(d["device"], d["simulated"]) for d in about["devices"]] == [("cpu(0)", False), ("gpu(0)", True)]
    assert name_of([cpu(), simulated]) == name_of([cpu()])
    assert name_of([cpu()]).endswith(f"-{num_cores()}-cores")


def test_all_of_it_goes_into_a_file() -> None:
    about = described([cpu()], commit="abc")
    assert json.loads(json.dumps(about)) == about
    assert about["commit"] == "abc"
    assert {"python", "numpy"} <= about["versions"].keys()
