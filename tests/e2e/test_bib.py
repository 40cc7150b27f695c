"""The BIB server over gRPC: the client of the seed, what is refused, and models that are asked, named and replaced."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dure.bib import predict_pb2, predict_pb2_grpc, train_pb2, train_pb2_grpc
from dure.store.store import ModelStore
from tests.e2e.bib import ROWS, tiny_bib

pytestmark = pytest.mark.timeout(180)

Train = train_pb2.TrainTextClassificationModelRequest
TrainNer = train_pb2.TrainNamedEntityRecognitionModelRequest
Classify = predict_pb2.PredictTextClassificationRequest


@pytest.fixture
async def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setenv("DURE_HOME", str(tmp_path))
    async with tiny_bib(tmp_path) as address:
        yield address


@pytest.fixture
async def channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield channel


def seeds_client(address: str) -> list[Any]:
    """The client of the article that asked for this, but for the import of the stubs and the address."""
    from dure.bib import train_pb2 as pb2
    from dure.bib import train_pb2_grpc as pb

    channel = grpc.insecure_channel(address)
    stub: Any = pb.TrainProviderStub(channel)  # type: ignore[no-untyped-call]
    data_set = ROWS
    request = pb2.TrainTextClassificationModelRequest(
        model_name="tc_train",
        epochs=1,
        train_rate=0.8,
        data_set=data_set,
    )
    with channel:
        return list(stub.TrainTextClassificationModel(request))


async def test_the_seeds_client_trains_and_its_model_predicts(address: str, channel: grpc.aio.Channel) -> None:
    progress = await asyncio.to_thread(seeds_client, address)
    assert [progress[0].state, progress[-1].state] == ["queued", "done"]
    assert progress[-1].version == 1
    assert progress[-1].share == 1
    assert progress[-1].score >= 0.9
    shares = [one.share for one in progress]
    assert shares == sorted(shares)
    assert any(one.HasField("loss") and math.isfinite(one.loss) for one in progress)
    stub: Any = predict_pb2_grpc.PredictProviderStub(channel)  # type: ignore[no-untyped-call]
    first = await stub.PredictTextClassification(Classify(model="tc_train", texts=["w1 storm", "bread"]))
    assert first.model == "tc_train@1"
    assert list(first.labels) == ["rain", "food"]
    assert list(first.classes) == ["food", "rain"]
    assert sum(first.probabilities[:2]) == pytest.approx(1, abs=1e-5)
    assert first.probabilities[1] == pytest.approx(first.scores[0])
    assert first.load_time > 0
    again = await stub.PredictTextClassification(
        Classify(model="tc_train@1", texts=["bread"], without_probabilities=True)
    )
    assert (again.load_time, list(again.labels), list(again.probabilities)) == (0, ["food"], [])


BAD: list[tuple[dict[str, Any], str]] = [
    ({"epochs": 0}, "epochs=0"),
    ({"epochs": -1}, "epochs=-1"),
    *(({"train_rate": rate}, "train_rate=") for rate in (0, 1, 2, -1, math.nan, math.inf)),
    ({"data_set": []}, "the data set is empty"),
    ({"data_set": ROWS[::2]}, "all 20 rows have the label 'food'"),
    ({"data_set": [*ROWS, {"text": "no label"}]}, "data_set[40] has no label"),
    ({"data_set": [*ROWS, {"text": " ", "label": "food"}]}, "data_set[40] has no text"),
    ({"model_name": "../m"}, "model_name: '../m' cannot be a name"),
    ({"model_name": ""}, "model_name: ''"),
    ({"options": {"class_weights": "some"}}, "class_weights='some'"),
    ({"options": {"encoder": "../../etc"}}, "no folder of encoders"),
    ({"options": {"seed": -1}}, "seed=-1"),
]


@pytest.mark.parametrize(("changed", "told"), BAD, ids=[told for _, told in BAD])
async def test_what_makes_no_sense_is_refused_at_once(
    channel: grpc.aio.Channel, changed: dict[str, Any], told: str
) -> None:
    fields = {"model_name": "m", "epochs": 1, "train_rate": 0.8, "data_set": ROWS, **changed}
    stub: Any = train_pb2_grpc.TrainProviderStub(channel)  # type: ignore[no-untyped-call]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [progress async for progress in stub.TrainTextClassificationModel(Train(**fields))]
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told in str(caught.value.details())
    assert not (await stub.ListJobs(train_pb2.ListJobsRequest())).jobs


BAD_NER: list[tuple[list[dict[str, Any]], str]] = [
    ([{"text": "Kim", "entities": [{"start": 0, "end": 9, "type": "PS"}]}], "data_set[0]: the entity 'PS' from 0 to 9"),
    ([{"tokens": ["Kim", "goes"], "tags": ["B-PS"]}], "data_set[0]: 2 tokens and 1 tags"),
    ([{"text": "Kim", "tokens": ["Kim"], "tags": ["B-PS"]}], "some of both"),
    ([{"text": "nobody"}], "none of the 1 sentences has an entity"),
]


@pytest.mark.parametrize(("rows", "told"), BAD_NER, ids=[told for _, told in BAD_NER])
async def test_entities_that_cannot_be_are_refused(channel: grpc.aio.Channel, rows: Any, told: str) -> None:
    stub: Any = train_pb2_grpc.TrainProviderStub(channel)  # type: ignore[no-untyped-call]
    request = TrainNer(model_name="m", data_set=rows)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [progress async for progress in stub.TrainNamedEntityRecognitionModel(request)]
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told in str(caught.value.details())


async def test_a_training_goes_on_without_its_client_and_any_number_may_watch(
    channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_STEP_S", "0.02")
    stub: Any = train_pb2_grpc.TrainProviderStub(channel)  # type: ignore[no-untyped-call]
    call = stub.TrainTextClassificationModel(Train(model_name="m", data_set=ROWS))
    first = await call.read()
    call.cancel()

    async def watched() -> list[Any]:
        return [one async for one in stub.WatchJob(train_pb2.WatchJobRequest(job_id=first.job_id))]

    several = await asyncio.gather(*(watched() for _ in range(5)))
    assert several[0][-1].state == "done"
    assert all(one == several[0] for one in several)
    (job,) = (await stub.ListJobs(train_pb2.ListJobsRequest(states=["done"]))).jobs
    assert (job.job_id, job.version, job.num_rows, job.progress.share) == (first.job_id, 1, 40, 1)


async def test_a_training_is_cancelled(channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_STEP_S", "0.1")
    stub: Any = train_pb2_grpc.TrainProviderStub(channel)  # type: ignore[no-untyped-call]
    call = aiter(stub.TrainTextClassificationModel(Train(model_name="m", epochs=1000, data_set=ROWS)))
    await anext(call)
    waiting = aiter(stub.TrainTextClassificationModel(Train(model_name="m", data_set=ROWS)))
    second = await anext(waiting)
    cancelled = None
    async for progress in call:
        if progress.step and cancelled is None:
            cancelled = await stub.CancelJob(train_pb2.CancelJobRequest(job_id=progress.job_id))
            await stub.CancelJob(train_pb2.CancelJobRequest(job_id=second.job_id))
    assert progress.state == "cancelled"
    told = [one async for one in waiting]
    assert told[-1].state == "cancelled"
    assert any("trains the same model" in one.note for one in told)
    with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
        await stub.CancelJob(train_pb2.CancelJobRequest(job_id="nobody"))


@pytest.fixture
def models(tmp_path: Path) -> ModelStore:
    """Two versions of one model, which say different things of the same text."""
    import torch

    from tests.unit.learning.tiny_learner import WIDTH, TinyModel

    store = ModelStore(tmp_path / "models")
    for number in range(2):
        weight = torch.zeros(WIDTH, 2)
        weight[:, number] = 1.0
        store.publish("m", TinyModel(("one", "two"), weight).save, {"task": "tc", "kind": "tiny"})
    return store


async def test_models_are_listed_named_loaded_and_deleted(channel: grpc.aio.Channel, models: ModelStore) -> None:
    stub: Any = predict_pb2_grpc.PredictProviderStub(channel)  # type: ignore[no-untyped-call]
    await stub.SetAlias(predict_pb2.SetAliasRequest(name="m", alias="prod", version=1))
    answer = await stub.PredictTextClassification(Classify(model="m@prod", texts=["x"]))
    assert (answer.model, list(answer.labels)) == ("m@1", ["one"])
    await stub.SetAlias(predict_pb2.SetAliasRequest(name="m", alias="prod", version=2))
    while answer.model == "m@1":  # until the other is loaded
        answer = await stub.PredictTextClassification(Classify(model="m@prod", texts=["x"]))
    assert list(answer.labels) == ["two"]
    loaded = await stub.LoadModel(predict_pb2.ModelRequest(model="m@1"))
    assert (loaded.model, loaded.load_time > 0) == ("m@1", True)
    found = {(one.name, one.version): one for one in (await stub.ListModels(predict_pb2.ListModelsRequest())).models}
    assert [found["m", 1].loaded, list(found["m", 2].aliases)] == [True, ["prod"]]
    assert list((await stub.UnloadModel(predict_pb2.ModelRequest(model="m@1"))).models) == ["m@1"]
    assert not (await stub.DescribeModel(predict_pb2.ModelRequest(model="m@1"))).loaded
    with pytest.raises(grpc.aio.AioRpcError, match="points at"):
        await stub.DeleteModel(predict_pb2.DeleteModelRequest(model="m"))
    gone = await stub.DeleteModel(predict_pb2.DeleteModelRequest(model="m", with_aliases=True))
    assert list(gone.models) == ["m@1", "m@2"]
    with pytest.raises(grpc.aio.AioRpcError, match="There are: none yet") as caught:
        await stub.PredictTextClassification(Classify(model="m", texts=["x"]))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_model_of_another_task_is_refused(channel: grpc.aio.Channel, models: ModelStore) -> None:
    stub: Any = predict_pb2_grpc.PredictProviderStub(channel)  # type: ignore[no-untyped-call]
    with pytest.raises(grpc.aio.AioRpcError, match="m@2 is for text classification, not for named entities"):
        await stub.PredictNamedEntityRecognition(
            predict_pb2.PredictNamedEntityRecognitionRequest(model="m", texts=["x"])
        )


async def test_a_damaged_model_is_named(channel: grpc.aio.Channel, models: ModelStore) -> None:
    weights = models.resolve("m").folder / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # whatever it was: many a float ends in 0x3f
    stub: Any = predict_pb2_grpc.PredictProviderStub(channel)  # type: ignore[no-untyped-call]
    with pytest.raises(grpc.aio.AioRpcError, match=r"m@2 is damaged: .*weights\.safetensors"):
        await stub.PredictTextClassification(Classify(model="m", texts=["x"]))


async def test_answers_come_from_one_version_while_versions_change(
    channel: grpc.aio.Channel, models: ModelStore
) -> None:
    """No request fails, none is answered by halves, and in the end the new version answers."""
    stub: Any = predict_pb2_grpc.PredictProviderStub(channel)  # type: ignore[no-untyped-call]
    says = {"m@1": "one", "m@2": "two"}
    models.alias("m", "live", 1)
    seen = set()
    for number in (1, 2, 1, 2):
        await asyncio.to_thread(models.alias, "m", "live", number)
        for _ in range(40):
            calls = [stub.PredictTextClassification(Classify(model="m@live", texts=["x"] * 50)) for _ in range(4)]
            for answer in await asyncio.gather(*calls):
                assert set(answer.labels) == {says[answer.model]}
                assert len(answer.labels) == 50
                seen.add(answer.model)
    assert answer.model == "m@2"
    assert seen == {"m@1", "m@2"}


async def test_a_model_that_is_trained_again_takes_over_without_losing_a_request(channel: grpc.aio.Channel) -> None:
    train: Any = train_pb2_grpc.TrainProviderStub(channel)  # type: ignore[no-untyped-call]
    predict: Any = predict_pb2_grpc.PredictProviderStub(channel)  # type: ignore[no-untyped-call]

    async def trained() -> None:
        told = [one async for one in train.TrainTextClassificationModel(Train(model_name="m", data_set=ROWS))]
        assert told[-1].state == "done"

    await trained()
    again = asyncio.create_task(trained())
    seen: list[str] = []
    while len(set(seen)) < 2:
        answer = await predict.PredictTextClassification(Classify(model="m", texts=["storm", "bread"]))
        assert list(answer.labels) == ["rain", "food"]
        seen.append(answer.model)
    await again
    assert seen == sorted(seen)
    assert set(seen) == {"m@1", "m@2"}


async def test_health_and_reflection(channel: grpc.aio.Channel) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    for service in ("", "dure.bib.TrainProvider", "dure.bib.PredictProvider"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol="dure.bib.TrainProvider")
    call = reflection.ServerReflectionInfo(iter([asked]))
    (answer,) = [one async for one in call]
    assert answer.file_descriptor_response.file_descriptor_proto


async def test_a_request_beyond_the_limit_is_refused(channel: grpc.aio.Channel) -> None:
    stub: Any = train_pb2_grpc.TrainProviderStub(channel)  # type: ignore[no-untyped-call]
    rows = [*ROWS, {"text": "x" * 2**20, "label": "food"}]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [one async for one in stub.TrainTextClassificationModel(Train(model_name="m", data_set=rows))]
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
