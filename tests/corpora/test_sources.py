"""How corpora are fetched: once, whole, at one version, or with a word on what to do."""

import subprocess

import pytest

from tests.corpora.sources import Corpus, CorpusAbsentError, fetch, get_by_git, list_corpora, locked


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def git(folder, *words):
    command = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def upstream(tmp_path):
    """A repository with two commits; the first is the one that is wanted."""
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


def test_what_cannot_be_had_says_what_to_do_and_leaves_nothing_half():
    corpus = Corpus("it", "It", "1", get_by_git("file:///nowhere", "0" * 40))
    with pytest.raises(CorpusAbsentError, match=rf"It can't be fetched: .*nowhere.* into {corpus.home} by hand"):
        fetch(corpus)
    assert [path.name for path in corpus.home.parent.iterdir()] == ["lock"]


def test_pillow_s_corpus_is_that_of_the_locked_pillow():
    lines = locked("pillow").splitlines()
    assert "pillow==" in lines[0]
    assert len([line for line in lines if "--hash=sha256:" in line]) > 10
    assert not any("pillow-heif==" in line for line in lines)
    (corpus,) = (corpus for corpus in list_corpora() if corpus.name == "pillow")
    assert lines[0].startswith(f"pillow=={corpus.version} ")


def test_a_package_that_is_not_locked_says_what_to_do():
    with pytest.raises(CorpusAbsentError, match="make lock"):
        locked("no-such-package")
