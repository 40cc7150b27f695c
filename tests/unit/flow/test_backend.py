"""Where a Flow's workers run, by name."""

import pytest

from dure import Executor, Flow
from dure.errors import SpecError


def test_a_backend_that_is_none() -> None:
    with pytest.raises(SpecError, match=r"^backend: 'rai' is none\. Did you mean 'ray'\? There are: local, ray\.$"):
        Flow().add(uses=Executor).start("rai")


def test_what_means_nothing_on_this_machine() -> None:
    flow = Flow().add(uses=Executor)
    with pytest.raises(SpecError, match=r"^address: means nothing with backend='local'"):
        flow.plan(address="10.0.0.1:6379")
    with pytest.raises(SpecError, match=r"^runtime_env: means nothing"):
        flow.start(runtime_env={"working_dir": "."})
    with pytest.raises(SpecError, match=r"^wait_for_resources: means nothing"):
        flow.start(wait_for_resources=True)
