from dure.bench.stages import StageTimes
from tests.unit.bench.clocks import StandingClock


def test_each_stage_is_timed_by_its_own_clock() -> None:
    host, device = StandingClock(), StandingClock()
    stages = StageTimes(host, device)
    tokenize, compute = host.work(1.0, 2.0, 4.0), device.work(8.0)

    def items() -> list[int]:
        return [1, 2, 3]

    for _ in stages.waiting_for("tokenizing", (tokenize() for _ in items())):
        with stages.on_device("computing"):
            compute()
        host.work(100.0)()  # in no stage
    assert stages.seconds() == {"tokenizing": 7.0, "computing": 24.0}
    assert host.num_waits == device.num_waits == 0
