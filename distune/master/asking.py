"""Asking a sampler that takes its time, while the master goes on counting."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from distune.search.sampler import Nothing, Question, Sampler, Suggestion


@dataclass(eq=False)
class _Answer:
    """An answer that is being worked out in a thread, and is there when that has ended."""

    number: int  # of the configuration
    thread: threading.Thread
    found: Suggestion | Nothing | BaseException = Nothing.STILL_LOOKING


class PatientSampler:
    """`PatientSampler(sampler, wake)` answers at once: where the sampler is slow that it is still
    looking, until it has found something; then `wake` is called.

    What is known when it is asked is what the answer is from, whatever is counted meanwhile. The
    thread opens no file: the master remembers the answer and publishes it, as any other. One that
    is killed before has remembered nothing, and the next one asks again.
    """

    def __init__(self, sampler: Sampler, wake: Callable[[], None]) -> None:
        self._sampler = sampler
        self._wake = wake
        self._answer: _Answer | None = None
        self.endless = sampler.endless
        self.exchangeable = sampler.exchangeable
        self.label = sampler.label

    @property
    def at_once(self) -> int | None:
        return self._sampler.at_once

    @property
    def slow(self) -> bool:
        return self._sampler.slow

    @property
    def size(self) -> int | None:
        return self._sampler.size

    def begin(self, question: Question) -> Callable[[], Suggestion | Nothing]:
        return self._sampler.begin(question)

    def ask(self, question: Question) -> Suggestion | Nothing:
        answer = self._answer
        if answer is not None:
            if answer.thread.is_alive():
                return Nothing.STILL_LOOKING
            self._answer = None
            if isinstance(answer.found, BaseException):
                raise answer.found
            if answer.number == question.number:
                return answer.found
        if not self._sampler.slow:
            return self._sampler.ask(question)
        self._work_out(question.number, self._sampler.begin(question))
        return Nothing.STILL_LOOKING

    def _work_out(self, number: int, find: Callable[[], Suggestion | Nothing]) -> None:
        def work() -> None:
            try:
                answer.found = find()
            except BaseException as error:
                answer.found = error
            self._wake()

        # A daemon: a master that is told to end does not wait for what it will not publish.
        answer = _Answer(number, threading.Thread(target=work, daemon=True))
        self._answer = answer
        answer.thread.start()
