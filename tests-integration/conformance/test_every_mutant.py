"""Every fault dies by an assertion of the checks that the published matrix names; every equivalent variant passes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mutants.matrix import claims, equivalents, first_checks, is_assertion, mutants, published
from openstackai_sessions_conformance._run import run_suite

MATRIX = published(Path(__file__).parents[2] / "docs" / "conformance-matrix.md")


def _chosen() -> list[str]:
    """In the full tier every mutant; else the numbered ones, and of each other fault one side, by turns."""
    names = list(MATRIX)
    if os.environ.get("OPENSTACKAI_CONFORMANCE_TIER") == "full":
        return names
    sides: dict[str, list[str]] = {}
    for name in names:
        sides.setdefault(name.removesuffix(" (async)"), []).append(name)
    others = [both[turn % len(both)] for turn, both in enumerate(sides.values()) if not both[0][:2].isdigit()]
    return [*(name for name in names if name[:2].isdigit()), *others]


@pytest.mark.parametrize("name", _chosen())
def test_every_mutant_dies(name: str) -> None:
    chosen = first_checks(name, MATRIX[name], 2)
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
    assert list(MATRIX) == list(mutants())


@pytest.mark.parametrize("name", equivalents())
def test_equivalent_variants_are_accepted(name: str) -> None:
    statement = run_suite(equivalents()[name], name=name, seed=11)
    assert statement.conforms, statement.why_not
