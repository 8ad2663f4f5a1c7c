"""Leases: work that one server process does for all that share the database."""

from sqlalchemy.dialects import postgresql, sqlite

from chatwright.server.database.engine import Database
from chatwright.server.database.tables import Lease
from chatwright.server.identifiers import now_ms


async def take(database: Database, name: str, owner: str, *, seconds: float) -> bool:
    """Take or renew a lease.

    Args:
        database: that the processes share.
        name: of the work.
        owner: of this process.
        seconds: how long it holds unless it is renewed.

    Returns:
        Whether this process has it; another's holds until its time is over.
    """
    now = now_ms()
    until = now + round(seconds * 1000)
    statement = (sqlite if database.is_sqlite else postgresql).insert(Lease)
    statement = statement.values(name=name, owner=owner, until_ms=until)
    taken = statement.on_conflict_do_update(
        index_elements=[Lease.name],
        set_={"owner": owner, "until_ms": until},
        where=(Lease.owner == owner) | (Lease.until_ms < now),
    ).returning(Lease.name)
    async with database.write() as session:
        return (await session.execute(taken)).first() is not None
