"""The declarative base: names of constraints that both databases agree on, and the column types that we use."""

from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, MetaData, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

Id = Annotated[str, mapped_column(String(64))]
Key = Annotated[str, mapped_column(String(64), primary_key=True)]
Short = Annotated[str, mapped_column(String(255))]
Long = Annotated[str, mapped_column(Text)]
Millis = Annotated[int, mapped_column(BigInteger)]  # since 1970, UTC
Json = Annotated[Any, mapped_column(JSON().with_variant(JSONB(), "postgresql"))]


class Base(DeclarativeBase):
    """Of every table."""

    metadata = MetaData(
        naming_convention={  # Alembic can only alter what has a name
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
