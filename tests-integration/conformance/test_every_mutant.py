"""Every fault dies by an assertion of the checks that the published matrix names; every equivalent variant passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutants.matrix import claims, equivalents, first_checks, is_assertion, mutants, published
from openstackai_sessions_conformance._run import run_suite

MATRIX = Path(__file__).parents[2] / "docs" / "conformance-matrix.md"


@pytest.mark.parametrize("name", published(MATRIX))
def test_every_mutant_dies(name: str) -> None:
    chosen = first_checks(name, published(MATRIX)[name], 2)
    assert chosen, "the matrix says that it lives"
    make = mutants()[name]
    failed = []
    for number in chosen:
        statement = run_suite(make, name=name, seed=11, capabilities=claims(make), only=frozenset({number}))
        failed = [one for one in statement.ran if one.status == "failed"]
        if failed:  # the second is there for where the first misses, and takes as long
            break
    assert failed
    assert all(is_assertion(one.reason) for one in failed)


def test_every_mutant_is_published_sync_and_async() -> None:
    assert list(published(MATRIX)) == list(mutants())


@pytest.mark.parametrize("name", equivalents())
def test_equivalent_variants_are_accepted(name: str) -> None:
    statement = run_suite(equivalents()[name], name=name, seed=11)
    assert statement.conforms, statement.why_not
