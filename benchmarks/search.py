"""How long a search takes in 100,000 messages of one person, on SQLite: Chinese words, English words, beginnings.

::

    python -m benchmarks.search [--messages 100000] [--database-url postgresql://…]

Claim: every search under 100 ms, the first one (nothing in memory) included. Half the messages are Chinese, half
English; words are drawn by Zipf's law, so that some stand in nearly every message and some in a few.
"""

import argparse
import asyncio
import json
import platform
import random
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert

from chatwright.server.conversations import finding, search
from chatwright.server.database import open_database
from chatwright.server.database.tables import Conversation, MessageRow, User

_USER = "user_benchmark"
_WORDS_PER_MESSAGE = 60
_VOCABULARY = 20_000
_QUERIES = {
    "a common word of two characters": "{zh0}",
    "a rare word of two characters": "{zh9000}",
    "four characters": "{zh10}{zh200}",
    "one character": "{zh5:.1}",
    "a common English word": "{en0}",
    "a rare English word": "{en9000}",
    "the beginning of many words": "{en0:.1}",
    "three words of both languages": "{zh3} {en40} {en3}",
    "what is not there": "zzzzqqqq",
}


def vocabulary(seed: int) -> tuple[list[str], list[str]]:
    """Chinese words of two characters and English words of three to nine letters."""
    draw = random.Random(seed)
    characters = [chr(draw.randrange(0x4E00, 0x5E00)) for _ in range(2_000)]
    chinese = ["".join(draw.choices(characters, k=2)) for _ in range(_VOCABULARY)]
    english = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(3, 9))) for _ in range(_VOCABULARY)]
    return chinese, english


async def fill(url: str, messages: int) -> float:
    """Write the messages; seconds per thousand."""
    chinese, english = vocabulary(1)
    weights = [1 / rank for rank in range(1, _VOCABULARY + 1)]
    draw = random.Random(2)
    database = await open_database(url)
    async with database.write() as session:
        session.add(User(id=_USER, name="b", name_key="b", role="user", created_ms=0))
        await session.flush()
        session.add(Conversation(id="conv_b", user_id=_USER, created_ms=0, updated_ms=0))
    started = time.perf_counter()
    for first in range(0, messages, 1000):
        rows = []
        for number in range(first, min(first + 1000, messages)):
            words = draw.choices(chinese if number % 2 else english, weights, k=_WORDS_PER_MESSAGE)
            content = ("" if number % 2 else " ").join(words)
            rows.append(
                {
                    "id": f"msg_{number}",
                    "conversation_id": "conv_b",
                    "role": "user",
                    "origin": "typed",
                    "content": content,
                    "created_ms": number,
                    "updated_ms": number,
                }
            )
        async with database.write() as session:
            await session.execute(insert(MessageRow), rows)
            terms = {str(row["id"]): search.terms_of(str(row["content"])) for row in rows}
            await search.add_new(session, _USER, "conv_b", terms)
    spent = time.perf_counter() - started
    await database.close()
    return spent / messages * 1000


async def measure(url: str) -> dict[str, dict[str, float]]:
    """Milliseconds of each search: the first one, and the median and worst of twenty."""
    chinese, english = vocabulary(1)
    names = {f"zh{rank}": word for rank, word in enumerate(chinese)}
    names |= {f"en{rank}": word for rank, word in enumerate(english)}
    results: dict[str, dict[str, float]] = {}
    for what, pattern in _QUERIES.items():
        database = await open_database(url)  # anew: nothing of the last search is in this connection's cache
        async with database.read() as session:
            await session.get(User, _USER)
        times = []
        hits = 0
        for _ in range(21):
            started = time.perf_counter()
            async with database.read() as session:
                hits = len(await finding.hits(session, _USER, pattern.format(**names), limit=30))
            times.append((time.perf_counter() - started) * 1000)
        await database.close()
        results[what] = {
            "first_ms": round(times[0], 1),
            "median_ms": round(statistics.median(times[1:]), 1),
            "worst_ms": round(max(times), 1),
            "hits": hits,
        }
    return results


def main() -> None:
    """Fill, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--database-url", help="an empty PostgreSQL database; SQLite in a fresh folder otherwise")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.database_url or f"sqlite:///{Path(folder) / 'search.db'}"
        per_thousand_s = asyncio.run(fill(url, given.messages))
        size = (Path(folder) / "search.db").stat().st_size if not given.database_url else None
        report = {
            "machine": platform.processor() or platform.machine(),
            "messages": given.messages,
            "seconds_per_thousand_written": round(per_thousand_s, 2),
            "database_bytes": size,
            "searches": asyncio.run(measure(url)),
        }
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
