from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrainTextClassificationModelRequest(_message.Message):
    __slots__ = ("model_name", "epochs", "train_rate", "data_set", "options")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    TRAIN_RATE_FIELD_NUMBER: _ClassVar[int]
    DATA_SET_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    epochs: int
    train_rate: float
    data_set: _containers.RepeatedCompositeFieldContainer[LabelledRow]
    options: TrainOptions
    def __init__(self, model_name: _Optional[str] = ..., epochs: _Optional[int] = ..., train_rate: _Optional[float] = ..., data_set: _Optional[_Iterable[_Union[LabelledRow, _Mapping]]] = ..., options: _Optional[_Union[TrainOptions, _Mapping]] = ...) -> None: ...

class TrainNamedEntityRecognitionModelRequest(_message.Message):
    __slots__ = ("model_name", "epochs", "train_rate", "data_set", "options")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    TRAIN_RATE_FIELD_NUMBER: _ClassVar[int]
    DATA_SET_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    epochs: int
    train_rate: float
    data_set: _containers.RepeatedCompositeFieldContainer[TaggedRow]
    options: TrainOptions
    def __init__(self, model_name: _Optional[str] = ..., epochs: _Optional[int] = ..., train_rate: _Optional[float] = ..., data_set: _Optional[_Iterable[_Union[TaggedRow, _Mapping]]] = ..., options: _Optional[_Union[TrainOptions, _Mapping]] = ...) -> None: ...

class LabelledRow(_message.Message):
    __slots__ = ("text", "label")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    text: str
    label: str
    def __init__(self, text: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

class TaggedRow(_message.Message):
    __slots__ = ("text", "entities", "tokens", "tags", "joiner")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    JOINER_FIELD_NUMBER: _ClassVar[int]
    text: str
    entities: _containers.RepeatedCompositeFieldContainer[EntitySpan]
    tokens: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.RepeatedScalarFieldContainer[str]
    joiner: str
    def __init__(self, text: _Optional[str] = ..., entities: _Optional[_Iterable[_Union[EntitySpan, _Mapping]]] = ..., tokens: _Optional[_Iterable[str]] = ..., tags: _Optional[_Iterable[str]] = ..., joiner: _Optional[str] = ...) -> None: ...

class EntitySpan(_message.Message):
    __slots__ = ("start", "end", "type")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    type: str
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ..., type: _Optional[str] = ...) -> None: ...

class TrainOptions(_message.Message):
    __slots__ = ("seed", "batch_size", "accumulate", "learning_rate", "patience", "class_weights", "precision", "encoder")
    SEED_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    ACCUMULATE_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    seed: int
    batch_size: int
    accumulate: int
    learning_rate: float
    patience: int
    class_weights: str
    precision: str
    encoder: str
    def __init__(self, seed: _Optional[int] = ..., batch_size: _Optional[int] = ..., accumulate: _Optional[int] = ..., learning_rate: _Optional[float] = ..., patience: _Optional[int] = ..., class_weights: _Optional[str] = ..., precision: _Optional[str] = ..., encoder: _Optional[str] = ...) -> None: ...

class TrainProgress(_message.Message):
    __slots__ = ("job_id", "step", "num_steps", "share", "epoch", "loss", "score", "elapsed_time", "state", "note", "version")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    NUM_STEPS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    step: int
    num_steps: int
    share: float
    epoch: int
    loss: float
    score: float
    elapsed_time: float
    state: str
    note: str
    version: int
    def __init__(self, job_id: _Optional[str] = ..., step: _Optional[int] = ..., num_steps: _Optional[int] = ..., share: _Optional[float] = ..., epoch: _Optional[int] = ..., loss: _Optional[float] = ..., score: _Optional[float] = ..., elapsed_time: _Optional[float] = ..., state: _Optional[str] = ..., note: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("states",)
    STATES_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, states: _Optional[_Iterable[str]] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("job_id", "model_name", "task", "state", "note", "device", "created_at", "num_rows", "version", "progress")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    NUM_ROWS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    model_name: str
    task: str
    state: str
    note: str
    device: str
    created_at: str
    num_rows: int
    version: int
    progress: TrainProgress
    def __init__(self, job_id: _Optional[str] = ..., model_name: _Optional[str] = ..., task: _Optional[str] = ..., state: _Optional[str] = ..., note: _Optional[str] = ..., device: _Optional[str] = ..., created_at: _Optional[str] = ..., num_rows: _Optional[int] = ..., version: _Optional[int] = ..., progress: _Optional[_Union[TrainProgress, _Mapping]] = ...) -> None: ...
