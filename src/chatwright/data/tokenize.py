"""Rows to a store, in parallel: the order and the content are the same whatever the number of processes."""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from filelock import FileLock

from chatwright.data.columns import Columns
from chatwright.data.encode import RowEncoder
from chatwright.data.example import Example
from chatwright.data.rows import Row, Text
from chatwright.data.store import INDEX, ExampleStore
from chatwright.data.store_writer import StoreWriter, remove_partial
from chatwright.errors import ChatwrightError, ConfigError, InputError, StorageError, TemplateError

Encoder = Callable[[Row], Example | None]
Progress = Callable[[int, int], None]
"""Called with the rows read and the tokens written so far."""

_CHUNK_CHARS = 2**18
_CHAT_CHARS = 4_096  # what a row that is no text counts for: rendering it takes as long as encoding so much text
_FEW_CHUNKS = 8  # starting processes takes about a second, in which one alone has done as much


@dataclass(frozen=True, slots=True)
class Encoded:
    """What became of some rows.

    Attributes:
        columns: the examples.
        tally: see :class:`~chatwright.data.encode.RowEncoder`.
        num_rows: how many rows there were.
        num_refused, refusal: how many the template or tokenizer refused, and why the first of them.
    """

    columns: Columns
    tally: Counter[str]
    num_rows: int
    num_refused: int
    refusal: str


def build_store(
    rows: Iterable[Row],
    encoder: Encoder,
    folder: str | Path,
    *,
    source: str | None = None,
    workers: int | None = None,
    max_refused: float = 0.05,
    progress: Progress | None = None,
) -> ExampleStore:
    """Encode rows into a store.

    Args:
        rows: in the order in which they will be stored. Not drawn at all where the store is there already.
        encoder: a :class:`~chatwright.data.encode.RowEncoder`, or any picklable callable.
        folder: of the store; it appears when it is complete, and replaces an older one.
        source: says what the rows are: with an equal ``source`` and an equal encoder a complete store is used again.
            None: always made anew.
        workers: processes; None: one for each core; a few rows are encoded in this process.
        max_refused: part of the rows that the template or tokenizer may refuse; they are counted in the store's tally.
        progress: called after each few hundred rows.

    Raises:
        InputError: no example comes out, or too many rows are refused.
        StorageError: the folder cannot be written, or is something else than a store.
    """
    root = Path(folder)
    made_by = encoder.fingerprint if isinstance(encoder, RowEncoder) else ""
    made_from = "" if source is None else hashlib.sha256(source.encode()).hexdigest()
    with _lock(root):
        if source is not None and (found := _reusable(root, made_by, made_from)) is not None:
            return found
        remove_partial(root)
        vocab_size = encoder.tokenizer.vocab_size if isinstance(encoder, RowEncoder) else None
        with StoreWriter(root, vocab_size=vocab_size, encoder=made_by, source=made_from) as writer:
            account = _Account(max_refused)
            for encoded in encode_rows(rows, encoder, workers=workers):
                account.add(encoded)
                writer.write(encoded.columns)
                if progress is not None:
                    progress(account.num_rows, writer.num_tokens)
            account.close(writer.num_examples)
            return writer.finish(num_rows=account.num_rows, tally=account.tally)


def encode_rows(rows: Iterable[Row], encoder: Encoder, *, workers: int | None = None) -> Iterator[Encoded]:
    """Encode rows in chunks, in order.

    Args:
        rows: drawn a little ahead of what is yielded.
        encoder, workers: as for :func:`build_store`.

    Raises:
        ChatwrightError: a process was ended from outside.
    """
    workers = workers or _num_cores()
    chunks = _chunks(rows)
    first = list(islice(chunks, _FEW_CHUNKS))
    if workers == 1 or len(first) < _FEW_CHUNKS:
        for chunk in chain(first, chunks):
            yield _encode(chunk, encoder)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy PyTorch's threads in whatever state they are
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(encoder,)) as pool:
        pending = deque(pool.submit(_encode_in_worker, chunk) for chunk in islice(chain(first, chunks), 2 * workers))
        rest = chain(first[2 * workers :], chunks)
        try:
            while pending:
                done = pending.popleft().result()
                pending.extend(pool.submit(_encode_in_worker, chunk) for chunk in islice(rest, 1))
                yield done
        except BrokenProcessPool:
            raise ChatwrightError(
                "a process that encodes the data was ended from outside, perhaps because memory is short; "
                "use fewer of them (workers)"
            ) from None
        finally:
            for future in pending:  # where the reader has stopped, do not finish what nobody will read
                future.cancel()


def open_prepared(folder: str | Path, encoder: RowEncoder) -> ExampleStore:
    """A store that was made before, by an equal encoder.

    Raises:
        ConfigError: it was made for another model, kind of rows or ``max_length``.
        StorageError: there is none, or it is damaged.
    """
    store = ExampleStore.open(folder)
    if store.facts.encoder != encoder.fingerprint:
        raise ConfigError(
            f"{folder} was prepared with another tokenizer, chat template, max_length or kind of rows; "
            "prepare the data again for this model with `chatwright data prepare`"
        )
    return store


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Only one process at a time makes a store; the others wait, and find it made."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise StorageError(f"{folder.parent} cannot be written to: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _reusable(folder: Path, made_by: str, made_from: str) -> ExampleStore | None:
    """The store that is there, if it is whole and made from the same."""
    if (folder / INDEX).is_file():
        with suppress(StorageError):  # damaged: made anew
            store = ExampleStore.open(folder)
            if (store.facts.encoder, store.facts.source) == (made_by, made_from):
                return store
    return None


class _Account:
    """Counts what became of the rows, and stops where too many are refused."""

    def __init__(self, max_refused: float) -> None:
        self.num_rows = 0
        self.tally: Counter[str] = Counter()
        self._max_refused = max_refused
        self._num_refused = 0
        self._refusal = ""

    def add(self, encoded: Encoded) -> None:
        self.num_rows += encoded.num_rows
        self.tally += encoded.tally
        self._num_refused += encoded.num_refused
        self._refusal = self._refusal or encoded.refusal
        if self.num_rows >= 1000:
            self._check()

    def close(self, num_examples: int) -> None:
        self._check()
        if self._num_refused:
            self.tally[f"refused: {self._refusal}"] = self._num_refused
        if not num_examples:
            why = "; ".join(f"{count:,} {reason}" for reason, count in self.tally.items()) or "there are no rows"
            raise InputError(f"the data gives no example to learn from: {why}")

    def _check(self) -> None:
        if self._num_refused > self._max_refused * self.num_rows:
            raise InputError(
                f"{self._num_refused:,} of {self.num_rows:,} rows cannot be used, more than max_malformed = "
                f"{self._max_refused:.2%} allows; the first because {self._refusal}"
            )


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows in lists that take about equally long to encode."""
    chunk: list[Row] = []
    chars = 0
    for row in rows:
        chunk.append(row)
        chars += len(row.text) if isinstance(row, Text) else _CHAT_CHARS
        if chars >= _CHUNK_CHARS:
            yield chunk
            chunk, chars = [], 0
    if chunk:
        yield chunk


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _encode(rows: Sequence[Row], encoder: Encoder) -> Encoded:
    refusals: list[str] = []
    try:
        examples, tally = _run(encoder, rows)
    except (InputError, TemplateError):
        examples, tally = [], Counter()
        for row in rows:
            try:
                one, counted = _run(encoder, [row])
            except (InputError, TemplateError) as error:
                refusals.append(str(error))
            else:
                examples += one
                tally += counted
    columns = Columns.of([example for example in examples if example is not None])
    return Encoded(columns, tally, len(rows), len(refusals), refusals[0] if refusals else "")


def _run(encoder: Encoder, rows: Sequence[Row]) -> tuple[list[Example | None], Counter[str]]:
    if not isinstance(encoder, RowEncoder):
        return [encoder(row) for row in rows], Counter()
    encoder.tally = Counter()
    return encoder.encode_many(rows), encoder.tally


_worker_encoder: Encoder


def _start_worker(encoder: Encoder) -> None:
    global _worker_encoder
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C ends the parent, which ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker_encoder = encoder


def _end_with_parent() -> None:
    """A parent that is killed cannot say so, and this process would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _encode_in_worker(rows: Sequence[Row]) -> Encoded:
    return _encode(rows, _worker_encoder)
