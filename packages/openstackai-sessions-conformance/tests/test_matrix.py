"""The published matrix of mutants: read, written, and made from runs."""

from __future__ import annotations

from pathlib import Path

from mutants.matrix import THREADS_ONLY, is_assertion, mutants
from mutants.page import Page, Row, Run, choose, published, read_page, summarise, write_page
from mutants.task_faults import TASK_FAULTS

OLD = """\
# Which check kills which mutant

| mutant | killed by the checks |
|---|---|
| 01 limit returns the oldest | 003 022 |
| 01 limit returns the oldest (async) | none |

## Checks that kill nothing here

- 094: which URLs open is decided by core.
"""


def test_what_is_written_is_read() -> None:
    rows = {"b": Row([3, 104], 9, 10), "a, async": Row([], 0, 10), "c": Row([7])}
    spared = {"reference, tier quick": "20 runs: no false alarm.", "equivalent variants, tier quick": "6 runs: one."}
    text = write_page(Page(rows, spared), ["c", "a, async", "b"])
    assert read_page(text) == Page(rows, spared)
    assert list(read_page(text).rows) == ["c", "a, async", "b"]
    assert "| b | 003 104 | 9/10 |" in text
    assert "| a, async | none | 0/10 |" in text


def test_a_page_without_the_last_column_is_read(tmp_path: Path) -> None:
    assert read_page(OLD) == Page(
        {"01 limit returns the oldest": Row([3, 22]), "01 limit returns the oldest (async)": Row([])}, {}
    )
    page = tmp_path / "page.md"
    page.write_text(OLD, "utf-8")
    assert published(page)["01 limit returns the oldest"] == [3, 22]


def test_rows_that_are_no_longer_known_are_left_out() -> None:
    assert "gone" not in write_page(Page({"gone": Row([1])}, {}), ["here"])


def test_nothing_measured_that_must_pass_makes_no_section() -> None:
    assert "must not be killed" not in write_page(Page({}, {}), [])


def test_the_broad_checks_are_chosen_only_where_there_are_no_others() -> None:
    assert choose([3, 9, 11, 12, 13, 15, 16, 17, 19]) == [11, 12, 13, 15, 16, 17]
    assert choose([3, 9]) == [3, 9]
    assert choose([3, 11, 12], most=1) == [11]
    assert choose([]) == []


def test_a_row_keeps_what_the_first_run_found_and_no_later_run_missed() -> None:
    runs = [Run([3, 11, 12]), Run([11, 12]), Run([12], missed=[11])]
    assert summarise([], runs) == Row([3, 12], 3, 3)


def test_a_run_that_only_other_checks_killed_counts() -> None:
    assert summarise([], [Run([11, 12]), Run([40], missed=[11, 12])]) == Row([11, 12], 2, 2)
    assert summarise([], [Run([3, 11]), Run([40], missed=[11])]) == Row([3], 2, 2)


def test_a_run_that_nothing_killed_counts_as_lived() -> None:
    assert summarise([], [Run([]), Run([49]), Run([], missed=[49])]) == Row([49], 1, 3)
    assert summarise([], [Run([]), Run([])]) == Row([], 0, 2)
    assert summarise([49], [Run([], missed=[49])]) == Row([], 0, 1)


def test_published_checks_stand_in_for_the_first_run() -> None:
    assert summarise([3, 11, 12], [Run([11, 12]), Run([11], missed=[12])]) == Row([3, 11], 2, 2)


def test_only_a_broken_rule_is_an_assertion() -> None:
    assert is_assertion("conformance check 011 (B)\n  seen:        1")
    assert is_assertion("conformance check 011 (B)\n  seen:        KeyError: 'k' (at _checks_fidelity.py:56)")
    assert not is_assertion("conformance check 011 (B)\n  seen:        TypeError: no (at handle_faults.py:56)")
    assert not is_assertion("expected: names are cut")


def test_every_mutant_but_those_of_threads_and_files_has_both_sides() -> None:
    names = set(mutants())
    alone = {name for name in names if f"{name} (async)" not in names and not name.endswith(" (async)")}
    assert alone == {*THREADS_ONLY, *(name for name in names if "SQLite" in name)}
    assert {name for name in names if name.endswith(" (async)") and name.removesuffix(" (async)") not in names} == {
        "19 cancellation swallowed (async)",
        "a blocking delete (async)",
        "handlers run later (async)",
        *TASK_FAULTS,
    }
