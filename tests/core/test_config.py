"""Settings: code before environment before default, for a block or for good; never guessed."""

import os
from pathlib import Path

import pytest

import functrans as ft
from functrans.core.errors import FunctransError


def test_code_counts_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCTRANS_NUM_THREADS", "3")
    assert ft.config.num_threads == 3
    with ft.config(num_threads=1, dump_dir="somewhere"):
        assert ft.config.num_threads == 1
        assert ft.config.dump_dir == Path("somewhere")
        ft.config.num_threads = 2
        assert ft.config.num_threads == 2
    assert ft.config.num_threads == 3 and ft.config.dump_dir is None


def test_none_is_the_default_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUNCTRANS_CACHE_SIZE", raising=False)
    with ft.config(cache_size=1000):
        assert ft.config.cache_size == 1000
        ft.config.cache_size = None
        assert ft.config.cache_size is None


@pytest.mark.parametrize("value", [0, -1, "many", 1.5])
def test_numbers_are_positive(value: object) -> None:
    with pytest.raises(FunctransError, match="num_threads must be a positive number"):
        ft.config.num_threads = value


def test_other_names_are_refused() -> None:
    with pytest.raises(FunctransError, match="no setting 'threads'; it has num_threads"):
        ft.config.threads = 1
    with pytest.raises(AttributeError, match="no setting 'threads'"):
        _ = ft.config.threads
    with pytest.raises(FunctransError), ft.config(num_threads=1, threads=2):
        pass
    assert ft.config.num_threads == (int(os.environ.get("FUNCTRANS_NUM_THREADS") or 0) or None)
