"""Trainer and Predictor in a Flow: models are trained on documents, watched, asked, looked after, by gRPC and HTTP."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dure import Client, Document, DocumentArray, Flow
from dure.bib.predictor import Predictor
from dure.bib.residence import Residence
from dure.bib.trainer import Trainer
from dure.bib.trainings import Trainings
from dure.device.context import Context
from dure.errors import ParametersError
from tests.e2e.bib import ROWS, load_tiny, tiny_workshop
from tests.e2e.doors import post

pytestmark = pytest.mark.timeout(180)


class TinyTrainer(Trainer):
    def _begun(self, device: str, home: Path | None) -> Trainings:
        assert home is not None
        return Trainings(device, home, tiny_workshop(home))


class TinyPredictor(Predictor):
    def _moved_in(self, context: Context, max_bytes: int | None) -> Residence:
        return Residence(self._store, context, max_bytes, load_tiny)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    home = {"home": str(tmp_path_factory.mktemp("home"))}
    flow = Flow(protocol=["grpc", "http"]).add(uses=TinyTrainer, uses_with=home).add(uses=TinyPredictor, uses_with=home)
    with flow:
        yield flow


def data_set() -> DocumentArray:
    return DocumentArray([Document(text=row["text"], tags={"label": row["label"]}) for row in ROWS])


def result(flow: Flow, endpoint: str, **parameters: Any) -> Any:
    answer = flow.post(endpoint, Document(), parameters=parameters).parameters["__results__"]
    (found,) = answer.values()
    return found


@pytest.fixture(scope="module")
def trained(flow: Flow) -> DocumentArray:
    """What was told of a training, to its end."""
    job = flow.post("/train", data_set(), parameters={"model_name": "m", "epochs": 3, "train_rate": 0.8})
    (told,) = job.parameters["__results__"].values()
    return flow.post("/watch", Document(), parameters={"job_id": told["job_id"]})


def test_a_training_is_watched_to_its_end(flow: Flow, trained: DocumentArray) -> None:
    tags = trained.tags
    assert [tags[0]["state"], tags[-1]["state"]] == ["queued", "done"]
    assert (tags[-1]["version"], tags[-1]["share"]) == (1, 1)
    assert tags[-1]["score"] >= 0.9
    jobs = result(flow, "/jobs", states=["done"])["jobs"]
    assert [(job["model_name"], job["progress"]["state"]) for job in jobs] == [("m", "done")]


@pytest.mark.usefixtures("trained")
def test_documents_get_labels_and_keep_their_tags(flow: Flow) -> None:
    docs = [Document(text="bread", tags={"source": "menu"}), Document(text="a storm"), Document()]
    answer = flow.post("/predict", docs, parameters={"model": "m"})
    first, second, _ = answer.tags
    assert (first["source"], first["label"], second["label"]) == ("menu", "food", "rain")
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert first["score"] == max(first["probabilities"].values())
    short = flow.post("/predict", docs, parameters={"model": "m@1", "probabilities": False})
    assert [set(tags) for tags in short.tags[1:]] == [{"label", "score"}] * 2


@pytest.mark.usefixtures("trained")
def test_models_are_looked_after(flow: Flow) -> None:
    result(flow, "/load", model="m")
    (model,) = result(flow, "/models")["models"]
    assert (model["name"], model["version"], model["loaded"], model["task"]) == ("m", 1, True, "tc")
    assert result(flow, "/unload", model="m") == {"models": ["m@1"]}
    assert result(flow, "/describe", model="m")["loaded"] is False


@pytest.mark.parametrize(
    ("endpoint", "parameters", "told"),
    [
        ("/train", {"model_name": "../m"}, "cannot be a name"),
        ("/train", {"model_name": "x", "epochs": 0}, "epochs=0"),
        ("/train", {"model_name": "x", "train_rate": 2}, "train_rate=2"),
        ("/train", {"model_name": "x", "task": "ner"}, "none of the 40 sentences has an entity"),
        ("/train", {"model_name": "x", "task": "other"}, "task"),
        ("/train", {"model_name": "x", "epochz": 1}, "epochz"),
        ("/cancel", {"job_id": "nobody"}, "there is no job 'nobody'"),
        ("/watch", {"job_id": "nobody"}, "there is no job 'nobody'"),
        ("/predict", {"model": "nobody"}, "there is no such model"),
        ("/predict", {}, "which one is to be asked"),
    ],
)
def test_what_makes_no_sense_is_the_callers_error(flow: Flow, endpoint: str, parameters: Any, told: str) -> None:
    with pytest.raises(ParametersError, match=told):
        flow.post(endpoint, data_set(), parameters=parameters)


@pytest.mark.usefixtures("trained")
def test_over_http_with_its_parameters_in_openapi(flow: Flow) -> None:
    with Client(port=flow.ports["grpc"]) as client:
        assert client.post("/predict", "storm", parameters={"model": "m"}).tags[0]["label"] == "rain"
    port = flow.ports["http"]
    status, _, body = post(port, "/predict", {"data": ["bread"], "parameters": {"model": "m"}})
    assert (status, json.loads(body)["data"][0]["tags"]["label"]) == (200, "food")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json") as answer:
        page = json.load(answer)
    assert "train_rate" in json.dumps(page["components"]["schemas"])
