"""Loaded models: which versions are in memory, what a reference means now, and who has to go when memory runs short.

What a reference means is looked up for every request. Where it means another version than before, the old one serves
until the new one is there. Knows no requests; may be used from many threads.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dure.device.context import Context, cpu
from dure.errors import DureError, ModelError
from dure.learning.kinds import load_model
from dure.learning.model import Model
from dure.log import get_logger
from dure.store.naming import parse_reference
from dure.store.store import ModelStore
from dure.store.version import Version

_SETTLED_NS = 100_000_000
"""After so long a folder's time of change is sure to be another one when it changes again."""

Load = Callable[[Path, Context], Model]
_Key = tuple[str, int]


@dataclass(eq=False)
class Resident:
    """A version in memory.

    Args:
        version: Which.
        model: It, as soon as it is loaded.
        references: What names it, of all that was asked for.
        num_users: Who works with it now; it is not unloaded before they are done.
        used_at: When it was asked for last, `time.monotonic`.
    """

    version: Version
    model: "Future[Model]" = field(default_factory=Future)
    references: set[str] = field(default_factory=set)
    num_users: int = 0
    used_at: float = 0.0

    @property
    def is_loaded(self) -> bool:
        """Whether it is there."""
        return self.model.done() and self.model.exception() is None


@dataclass(frozen=True, slots=True)
class Lease:
    """A model that stays where it is as long as this is held.

    Args:
        resident: Whose.
        model: The model; all that is asked of it is answered by this one version.
        load_time_s: Seconds for which it was waited for; 0 if it was there.
    """

    resident: Resident
    model: Model
    load_time_s: float

    @property
    def version(self) -> Version:
        """Which version it is."""
        return self.resident.version


class Residence:
    """The models in the memory of one device.

    Args:
        store: Where they come from.
        context: Where they live.
        max_bytes: How much they may take, by the size of their files. A model that is in use stays, and the old version
            stays until the new one is there: for as long it may be more. None: as much as there is.
        load: How a model is read.
    """

    def __init__(
        self, store: ModelStore, context: Context | None = None, max_bytes: int | None = None, load: Load = load_model
    ) -> None:
        self._store = store
        self.context = context or cpu()
        self._max_bytes = max_bytes
        self._load = load
        self._lock = threading.Lock()
        self._residents: dict[_Key, Resident] = {}
        self._serving: dict[str, Resident] = {}
        self._meanings: dict[str, tuple[object, Version]] = {}
        self._failed: dict[str, _Key] = {}

    @contextmanager
    def lease(self, reference: str) -> Iterator[Lease]:
        """Hold the model that a reference means; it is loaded if it is not there.

        Raises:
            ValidationError: The reference is written wrongly.
            ModelNotFound: There is no such version.
            ModelError: It is damaged, or larger than all of the memory that models may take.
        """
        lease = self.take(reference)
        try:
            yield lease
        finally:
            self.give_back(lease)

    def take(self, reference: str) -> Lease:
        """Return a lease, which somebody has to give back; see `lease`."""
        began = time.perf_counter()
        resident, was_loaded = self._choose(reference)
        try:
            model = resident.model.result()
        except BaseException:
            self._leave(resident)
            raise
        return Lease(resident, model, 0.0 if was_loaded else time.perf_counter() - began)

    def take_loaded(self, reference: str) -> Lease | None:
        """Return a lease if that takes no time; None if the model has to be loaded first."""
        try:
            version = self._meaning(reference)
        except DureError:
            return None
        with self._lock:
            resident = self._residents.get((version.name, version.number))
            if resident is None or not resident.is_loaded or self._serving.get(reference) is not resident:
                return None
            self._enter(resident)
        return Lease(resident, resident.model.result(), 0.0)

    def give_back(self, lease: Lease) -> None:
        """Say that nothing more is asked of it."""
        self._leave(lease.resident)

    def loaded(self) -> list[Version]:
        """Return the versions in memory, those used last first."""
        with self._lock:
            there = [resident for resident in self._residents.values() if resident.is_loaded]
            return [resident.version for resident in sorted(there, key=lambda one: -one.used_at)]

    def unload(self, reference: str) -> list[Version]:
        """Forget a version, or with a bare name all of the model's; those in use go when they are not any more.

        Returns:
            Those that were in memory.
        """
        meant = parse_reference(reference)
        number = self._store.resolve(reference).number if meant.alias else meant.number
        with self._lock:
            gone = [r for key, r in self._residents.items() if key[0] == meant.name and number in (None, key[1])]
            for resident in gone:
                self._forget(resident)
        return [resident.version for resident in gone if resident.is_loaded]

    def _meaning(self, reference: str) -> Version:
        """Return the version that a reference means now; one look at a folder if nothing has changed."""
        name = reference.partition("@")[0]
        changed = self._store.changed(name)
        known = self._meanings.get(reference)
        if known is not None and changed is not None and known[0] == changed:
            return known[1]
        version = self._store.resolve(reference)
        if self._is_settled(changed):
            self._meanings[reference] = (changed, version)
        return version

    @staticmethod
    def _is_settled(changed: object) -> bool:
        # Two changes within one tick of the file system's clock look like one: what is that young is looked up again.
        return isinstance(changed, tuple) and time.time_ns() - changed[1] > _SETTLED_NS

    def _choose(self, reference: str) -> tuple[Resident, bool]:
        """Return who answers to a reference, entered, and whether it is loaded; begins what has to be loaded."""
        version = self._meaning(reference)
        key = (version.name, version.number)
        with self._lock:
            old = self._serving.get(reference)
            resident = self._residents.get(key)
            begins = resident is None and not (old is not None and self._failed.get(reference) == key)
            if begins:
                resident = self._residents[key] = Resident(version)
            if resident is not None and resident.is_loaded:
                self._serve(reference, resident)
                old = resident
            chosen = old or resident
            if chosen is None:  # never: what is not loaded and has no old one has just been begun
                raise ModelError(f"{reference}: nobody answers to it")
            self._enter(chosen)
            was_loaded = chosen.is_loaded
        if begins and resident is not None:
            # In a thread of its own, which ends: with it go the threads of OpenMP that it has computed with.
            threading.Thread(target=self._fill, args=(reference, resident), name="load", daemon=True).start()
        return chosen, was_loaded

    def _fill(self, reference: str, resident: Resident) -> None:
        """Load a model, and have it serve; whoever waits for it hears how it went."""
        version = resident.version
        try:
            self._make_room(version)
            version.verify()
            model = self._load(version.folder, self.context)
        except Exception as error:  # noqa: BLE001  (whatever a file can do to who reads it, those who wait must hear)
            told = error if isinstance(error, DureError) else ModelError(f"{version} cannot be loaded: {error!r}")
            get_logger("models").warning("%s", told)
            with self._lock:
                self._residents.pop((version.name, version.number), None)
                self._failed[reference] = (version.name, version.number)
            resident.model.set_exception(told)
            return
        with self._lock:
            self._failed.pop(reference, None)
            resident.used_at = time.monotonic()
            resident.model.set_result(model)
            if (version.name, version.number) in self._residents:  # nobody has unloaded it meanwhile
                self._serve(reference, resident)

    def _make_room(self, version: Version) -> None:
        if self._max_bytes is None:
            return
        if version.size_bytes > self._max_bytes:
            raise ModelError(
                f"{version} takes {version.size_bytes:,} bytes, and models may take {self._max_bytes:,} in all; allow"
                " more"
            )
        with self._lock:
            self._evict(self._max_bytes)

    def _evict(self, max_bytes: int) -> None:
        """Unload whom nobody uses, who was used longest ago first, until the rest is within the bounds."""
        used = sum(resident.version.size_bytes for resident in self._residents.values())
        for resident in sorted(self._residents.values(), key=lambda one: one.used_at):
            if used <= max_bytes:
                return
            if resident.is_loaded and not resident.num_users:
                self._forget(resident)
                used -= resident.version.size_bytes

    def _serve(self, reference: str, resident: Resident) -> None:
        """Have a reference answered by this one; a version that nothing names any more goes."""
        old = self._serving.get(reference)
        if old is resident:
            return
        self._serving[reference] = resident
        resident.references.add(reference)
        if old is not None:
            old.references.discard(reference)
            if not old.references:
                self._forget(old)

    def _forget(self, resident: Resident) -> None:
        # Who works with it holds it; its memory is free when the last of them is done.
        self._residents.pop((resident.version.name, resident.version.number), None)
        for reference in resident.references:
            if self._serving.get(reference) is resident:
                del self._serving[reference]
        resident.references.clear()

    def _enter(self, resident: Resident) -> None:
        resident.num_users += 1
        resident.used_at = time.monotonic()

    def _leave(self, resident: Resident) -> None:
        with self._lock:
            resident.num_users -= 1
            if self._max_bytes is not None:
                self._evict(self._max_bytes)
