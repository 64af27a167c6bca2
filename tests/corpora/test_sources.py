"""Corpora are fetched once, completely, at one version; errors name the remedy."""

import subprocess

import pytest

from tests.corpora.sources import Corpus, CorpusUnavailableError, fetch, get_by_git, list_corpora, locked


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def git(folder, *arguments):
    command = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def upstream(tmp_path):
    """Return a repository with two commits, and the first commit."""
    folder = tmp_path / "upstream"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    (folder / "one.png").write_bytes(b"1")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "two.png").write_bytes(b"2")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "two")
    return folder.as_uri(), commit


def test_a_repository_is_fetched_at_its_commit_and_only_once(upstream):
    url, commit = upstream
    corpus = Corpus("it", "it", commit[:12], get_by_git(url, commit))
    fetch(corpus)
    assert list(corpus.files()) == ["it/one.png"]
    fetch(Corpus("it", "it", commit[:12], get_by_git("file:///nowhere", commit)))


def test_a_failed_fetch_names_the_remedy_and_leaves_no_files():
    corpus = Corpus("it", "It", "1", get_by_git("file:///nowhere", "0" * 40))
    with pytest.raises(CorpusUnavailableError, match=rf"It can't be fetched: .*nowhere.* to {corpus.home} by hand"):
        fetch(corpus)
    assert [path.name for path in corpus.home.parent.iterdir()] == ["lock"]


def test_pillow_s_corpus_is_that_of_the_locked_pillow():
    lines = locked("pillow").splitlines()
    assert "pillow==" in lines[0]
    assert len([line for line in lines if "--hash=sha256:" in line]) > 10
    assert not any("pillow-heif==" in line for line in lines)
    (corpus,) = (corpus for corpus in list_corpora() if corpus.name == "pillow")
    assert lines[0].startswith(f"pillow=={corpus.version} ")


def test_the_error_for_an_unlocked_package_names_the_remedy():
    with pytest.raises(CorpusUnavailableError, match="make lock"):
        locked("no-such-package")
