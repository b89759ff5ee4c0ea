"""The place of the behaviour tests in PostgreSQL: a schema of its own for each test."""

from __future__ import annotations

import itertools
import os
import re

import psycopg
from psycopg import sql

from openstackai_sessions_core.backend import AsyncBaseStore, BaseStore
from openstackai_sessions_postgres import AsyncPostgresStore, PostgresStore, schema_sql
from places import Place

_numbers = itertools.count(1)


class PostgresPlace(Place):
    """A schema. Time passes by moving what is stored into the past."""

    multiprocess = True

    def __init__(self, url: str, admin_url: str) -> None:
        self.url = url
        self.schema = f"behaviour_{os.getpid()}_{next(_numbers)}"
        self._admin = psycopg.connect(admin_url, autocommit=True)

    def open(self, **options: object) -> BaseStore:
        return PostgresStore(self.url, schema=self.schema, **options)  # type: ignore[arg-type]

    def open_async(self, **options: object) -> AsyncBaseStore:
        return AsyncPostgresStore(self.url, schema=self.schema, **options)  # type: ignore[arg-type]

    def _elapse(self, seconds: float) -> None:
        shift = round(seconds * 1_000_000)
        moved = {
            "sessions": ("created_at", "updated_at", "deadline", "sweep_at"),
            "messages": ("created_at",),
            "operations": ("at", "forget_at"),
        }
        exists = self._admin.execute("SELECT to_regnamespace(quote_ident(%s)) IS NOT NULL", (self.schema,)).fetchone()
        for table, columns in moved.items() if exists == (True,) else ():
            changes = sql.SQL(", ").join(
                sql.SQL("{column} = {column} - {shift}").format(column=sql.Identifier(column), shift=shift)
                for column in columns
            )
            self._admin.execute(sql.SQL("UPDATE {} SET {}").format(sql.Identifier(self.schema, table), changes))

    def partition(self) -> None:
        """Make the schema by hand, each table in four parts."""
        self._admin.execute(partitioned(schema_sql(self.schema), self.schema).encode())

    def clean(self) -> None:
        if self._admin.closed:
            return
        self._admin.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self.schema)))
        self._admin.close()


def partitioned(script: str, schema: str) -> str:
    """The script that makes a schema, with each table that holds sessions in four parts by the hash of their id."""

    def split(table: re.Match[str]) -> str:
        name, columns, options = table.groups()
        parts = [
            f'CREATE TABLE "{schema}".{name}_{part} PARTITION OF "{schema}".{name}'
            f" FOR VALUES WITH (MODULUS 4, REMAINDER {part}){options};"
            for part in range(4)
        ]
        return "\n".join([f'CREATE TABLE "{schema}".{name} ({columns}) PARTITION BY HASH (session_id);', *parts])

    tables = rf'^CREATE TABLE "{re.escape(schema)}"\.(sessions|messages|metadata|operations) \((.*?)^\)([^;]*);'
    changed, number = re.subn(tables, split, script, flags=re.MULTILINE | re.DOTALL)
    assert number == 4
    return changed
