import pytest

from dure.bench.clock import EventClock, HostClock, device_clock, host_clock, is_real_gpu
from dure.bench.timing import timed
from dure.device import nd
from dure.device.context import cpu, gpu
from dure.device.simulated import simulated_gpus
from dure.errors import DeviceNotFound
from tests.contract.worlds import why_no_gpu


def test_the_host_is_asked_for_the_time_when_every_device_is_idle() -> None:
    events: list[str] = []
    times = iter([1.0, 3.5])

    def now() -> float:
        events.append("now")
        return next(times)

    clock = HostClock(lambda: events.append("first"), lambda: events.append("second"), now=now)
    assert timed(lambda: events.append("work"), clock) == 2.5
    assert events[2:] == ["first", "second", "now", "work", "first", "second", "now"]


def test_a_simulated_gpu_has_no_clock_of_its_own() -> None:
    with simulated_gpus(1):
        assert not is_real_gpu(gpu(0))
        assert isinstance(device_clock(gpu(0)), HostClock)
    assert not is_real_gpu(cpu())


def test_a_device_that_is_not_there_has_no_clock() -> None:
    with simulated_gpus(1), pytest.raises(DeviceNotFound, match=r"gpu\(1\) is not on this machine"):
        host_clock(cpu(), gpu(1))


@pytest.mark.skipif(bool(why_no_gpu()), reason=why_no_gpu())
def test_events_tell_the_time_that_the_host_waits() -> None:
    matrix = nd.random.uniform(shape=(4096, 4096), ctx=gpu(0))
    events, host = device_clock(gpu(0)), host_clock(gpu(0))
    assert isinstance(events, EventClock)
    timed(lambda: nd.dot(matrix, matrix), events, 10)
    seconds = [timed(lambda: nd.dot(matrix, matrix), clock, 50) for clock in (events, host)]
    assert seconds[0] == pytest.approx(seconds[1], rel=0.2)
