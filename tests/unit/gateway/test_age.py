"""When a connection is old."""

from dure.gateway.age import aged


def test_connections_do_not_all_end_together() -> None:
    ages = {aged(100.0) for _ in range(200)}
    assert len(ages) > 100
    assert min(ages) >= 90
    assert max(ages) <= 110
