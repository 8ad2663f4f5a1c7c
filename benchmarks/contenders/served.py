"""Chatwright behind its own API: the same engine, asked over HTTP by a client that does as little as possible."""

import json
import selectors
import socket
import time
from contextlib import ExitStack
from typing import Any

from benchmarks.contenders.harness import Job, Timing, run
from benchmarks.server import MODEL, running_server

FIRST_EVENT = b"\ndata: {"  # and not the "data:" of a header that lists schemes of addresses


class Served:
    """Streams of /v1/completions. The client shares the machine with the server, as it does for anybody who tries."""

    def __init__(self, job: Job) -> None:
        self._stack = ExitStack()
        self._server = self._stack.enter_context(running_server(job.model, job.threads))
        self.details: dict[str, Any] = {"client": "plain sockets, one process"}

    def close(self) -> None:
        """Stop the server."""
        self._stack.close()

    def generate(self, prompts: list[list[int]], new_tokens: int) -> Timing:
        """See :class:`~benchmarks.contenders.harness.Contender`."""
        waiting = selectors.DefaultSelector()
        started = time.perf_counter()
        streams = [_Stream(self._server.port, prompt, new_tokens) for prompt in prompts]
        for stream in streams:
            waiting.register(stream.socket, selectors.EVENT_READ, stream)
        first = 0.0
        unfinished, silent = len(streams), len(streams)
        while unfinished:
            for key, _ in waiting.select():
                stream = key.data
                was_silent = not stream.has_begun
                if not stream.read():
                    waiting.unregister(stream.socket)
                    stream.socket.close()
                    unfinished -= 1
                if was_silent and stream.has_begun:
                    silent -= 1
                    if not silent:
                        first = time.perf_counter()
        ended = time.perf_counter()
        return Timing(first - started, ended - first, [[0] * stream.num_tokens() for stream in streams])


class _Stream:
    """One answer. What arrives is kept and read at the end: the time of the client is not what is measured."""

    def __init__(self, port: int, prompt: list[int], new_tokens: int) -> None:
        body = json.dumps(
            {
                "model": MODEL,
                "prompt": prompt,
                "max_tokens": new_tokens,
                "temperature": 0,
                "ignore_eos": True,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        )
        self.socket = socket.create_connection(("127.0.0.1", port))
        head = "Host: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close"
        head = f"POST /v1/completions HTTP/1.1\r\n{head}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(f"{head}{body}".encode())
        self.has_begun = False
        self._received: list[bytes] = []

    def read(self) -> bool:
        """Take what has arrived; False at the end."""
        data = self.socket.recv(65536)
        self._received.append(data)
        self.has_begun = self.has_begun or FIRST_EVENT in b"".join(self._received)
        return bool(data)

    def num_tokens(self) -> int:
        """As the server counted them. Raises RuntimeError where the answer is no complete stream."""
        text = b"".join(self._received).decode()
        events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        if not events or events[-1] != "[DONE]":
            raise RuntimeError(f"the stream did not end: {text[:300]}")
        return int(json.loads(events[-2])["usage"]["completion_tokens"])


if __name__ == "__main__":
    contenders: list[Served] = []

    def load(job: Job) -> Served:
        """Start the server, which is stopped with this process."""
        contenders.append(Served(job))
        return contenders[0]

    try:
        run(load)
    finally:
        for contender in contenders:
            contender.close()
