"""The trials that probes publish and look for."""

from __future__ import annotations

import time

from distune.doctor.sandbox import WatchedFolder
from distune.errors import BadRecord
from distune.share import protocol
from distune.share.protocol import AttemptName
from distune.share.records import AttemptFile
from distune.share.store import Store
from distune.study.trial import Trial


def example_trial(number: int) -> Trial:
    return Trial(study="doctor", number=number, attempt=1, params={"x": number})


def publish_trials(folder: WatchedFolder, count: int) -> Store:
    """A store in that folder, with that many waiting trials."""
    store = Store(folder)
    folder.make_folder(protocol.TRIALS)
    for number in range(count):
        folder.operations.retry(store.publish, example_trial(number))
    return store


def read_again(store: Store, name: AttemptName) -> AttemptFile:
    """Read an attempt; once more if a share that was just changed shows old content."""
    try:
        return store.read_attempt(name)
    except BadRecord:
        time.sleep(0.5)
        return store.read_attempt(name)
