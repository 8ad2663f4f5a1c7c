"""Many clients at once, some of which vanish: what arrives is whole and theirs, and nothing is left behind.

Each request asks for an answer that has to begin with a mark of its own (the answer is held to a JSON schema), so that
an answer that reached the wrong client is recognised whatever the model writes.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.server import MODEL, Server

VANISHING = 0.3  # of the requests end by the client's closing the connection, somewhere in the answer
TOKENS = 64
VANISHING_CHARACTERS = 150  # and before so many of them have come; a whole answer is longer
SAMPLE_S = 2.0
_SETTLE_S = 15.0


@dataclass(slots=True)
class Findings:
    """What became of every request, and the server's memory meanwhile.

    Attributes:
        outcomes: how many ended how: "complete", "vanished", "refused", and what must not be: "lost" (the stream broke
            off), "mixed" (somebody else's words), "failed" (an error in the answer).
        examples: one of each that must not be.
        memory_mb: resident memory of the server over time.
        events: of all streams; one tells one token or several.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    memory_mb: list[float] = field(default_factory=list)
    events: int = 0

    def count(self, outcome: str, example: str = "") -> None:
        """Note the end of a request."""
        self.outcomes[outcome] += 1
        if example:
            self.examples.setdefault(outcome, example[:500])


async def endure(server: Server, *, clients: int, minutes: float, seed: int = 0) -> dict[str, Any]:
    """Let clients ask and vanish for some minutes, then look whether the server is as it was."""
    findings = Findings()
    until = time.monotonic() + minutes * 60
    watching = asyncio.create_task(_watch_memory(server, findings))
    await asyncio.gather(*(_client(server, findings, number, until, seed) for number in range(clients)))
    free_s = await _wait_until_free(server)
    watching.cancel()
    bad = {name: findings.outcomes[name] for name in ("lost", "mixed", "failed")}
    memory = growth(findings.memory_mb)
    return {
        "clients": clients,
        "minutes": minutes,
        "outcomes": dict(findings.outcomes),
        "examples": findings.examples,
        "events": findings.events,
        "memory": memory,
        "seconds_until_free": free_s,
        "passed": not any(bad.values()) and free_s is not None and findings.outcomes["complete"] > 0 and memory["flat"],
    }


def growth(samples: list[float]) -> dict[str, Any]:
    """Memory of the second quarter of the time beside that of the last; the first quarter warms up.

    Flat: medians differ by less than 3 %, or 16 MB.
    """
    if len(samples) < 8:
        return {"flat": True, "samples": len(samples), "mb": samples}
    quarter = len(samples) // 4
    early = sorted(samples[quarter : 2 * quarter])[quarter // 2]
    late = sorted(samples[-quarter:])[quarter // 2]
    return {
        "flat": late - early < max(0.03 * early, 16),
        "early_mb": round(early, 1),
        "late_mb": round(late, 1),
        "peak_mb": round(max(samples), 1),
        "samples": len(samples),
    }


async def _client(server: Server, findings: Findings, number: int, until: float, seed: int) -> None:
    chance = random.Random(f"{seed}-{number}")
    asked = 0
    while time.monotonic() < until:
        asked += 1
        vanish_after = chance.randrange(1, VANISHING_CHARACTERS) if chance.random() < VANISHING else None
        try:
            await _ask(server, findings, f"client {number} request {asked}", vanish_after)
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            findings.count("lost", f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.1)


async def _ask(server: Server, findings: Findings, mark: str, vanish_after: int | None) -> None:
    body = json.dumps(_request(mark)).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        head = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}"
        writer.write(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n\r\n".encode() + body)
        status = int((await reader.readline()).split()[1])
        if status != 200:
            said = (await reader.read()).decode(errors="replace").rpartition("\r\n\r\n")[2]
            findings.count("refused" if status in (429, 503) else "failed", f"status {status}: {said}")
            return
        text, ended, vanished = "", False, False
        while line := await reader.readline():
            if not line.startswith(b"data: "):
                continue
            if line.startswith(b"data: [DONE]"):
                ended = True
                break
            event = json.loads(line[6:])
            if "error" in event:
                findings.count("failed", json.dumps(event))
                return
            text += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
            findings.events += 1
            if vanish_after is not None and len(text) >= vanish_after:
                vanished = True
                break
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    findings.count(*_judged(mark, text, ended, vanished=vanished))


def _judged(mark: str, text: str, ended: bool, *, vanished: bool) -> tuple[str, str]:
    expected = json.dumps({"mark": mark}).replace(" ", "")[:-1]
    got = text.replace(" ", "").replace("\n", "")
    if not got.startswith(expected) and (ended or not expected.startswith(got)):
        return "mixed", f"{expected} expected, {text!r} came"
    if vanished:
        return "vanished", ""
    return ("complete", "") if ended else ("lost", f"ended without [DONE] after {text!r}")


def _request(mark: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"mark": {"const": mark}, "story": {"type": "string"}},
        "required": ["mark", "story"],
        "additionalProperties": False,
    }
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"Tell me a story. ({mark})"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "story", "schema": schema}},
        "max_tokens": TOKENS,
        "stream": True,
    }


async def _watch_memory(server: Server, findings: Findings) -> None:
    while True:
        findings.memory_mb += list(_resident_mb(server.pid))
        await asyncio.sleep(SAMPLE_S)


def _resident_mb(pid: int) -> Iterator[float]:
    with suppress(OSError):  # no /proc here
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                yield int(line.split()[1]) * 1024 / 1e6


async def _wait_until_free(server: Server) -> float | None:
    """Seconds until no answer is in progress; None when some place is never given back."""
    started = time.monotonic()
    while time.monotonic() - started < _SETTLE_S:
        if await asyncio.to_thread(server.metric, "chatwright_open_answers") == 0:
            return round(time.monotonic() - started, 2)
        await asyncio.sleep(0.1)
    return None
