"""A tag is refused unless the sources and the changelog agree with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from release import check


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with one package, ready to be released as 1.2.0."""
    package = tmp_path / "packages" / "some-thing"
    source = package / "src" / "some_thing"
    source.mkdir(parents=True)
    (source / "_version.py").write_text('"""The version."""\n\n__version__ = "1.2.0"\n')
    (package / "CHANGELOG.md").write_text("# Changes\n\n## 1.2.0 (2026-01-31)\n\nBetter.\n\n## 1.1.0 (2026-01-01)\n")
    return tmp_path


def test_a_tag_that_agrees_gives_the_folder(root: Path) -> None:
    assert check("some-thing-v1.2.0", root) == Path("packages/some-thing")


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [
        ("v1.2.0", "a tag is <distribution>-v<version>"),
        ("some-thing-1.2.0", "a tag is <distribution>-v<version>"),
        ("other-thing-v1.2.0", "there is no package other-thing"),
        ("some-thing-v1.2", "say another version"),
        ("some-thing-v1.1.0", "say another version"),
    ],
)
def test_a_tag_that_disagrees_is_refused(root: Path, tag: str, complaint: str) -> None:
    with pytest.raises(SystemExit, match=complaint):
        check(tag, root)


@pytest.mark.parametrize("entry", ["## 1.2.0 (unreleased)", "## 1.2.0", "## 1.2.0rc1 (2026-01-31)", "Nothing."])
def test_a_changelog_without_a_dated_entry_is_refused(root: Path, entry: str) -> None:
    (root / "packages" / "some-thing" / "CHANGELOG.md").write_text(f"# Changes\n\n{entry}\n")
    with pytest.raises(SystemExit, match=r"has no line '## 1\.2\.0 \(YYYY-MM-DD\)'"):
        check("some-thing-v1.2.0", root)
