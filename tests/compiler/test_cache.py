"""Code comes from disk when it can be trusted, is compiled when not, and nobody is troubled more
than once about it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from functrans.compiler import cache, engine

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes and owners are POSIX's")
CODE = b"\x7fELF and more" * 100
KEY = "ab" * 32


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Any) -> Path:
    """A cache of this test's own, in which nothing has been warned about."""
    path = tmp_path / "cache"
    monkeypatch.setenv("FUNCTRANS_CACHE_DIR", str(path))
    monkeypatch.setattr(cache, "_warned", False)
    return path


@pytest.fixture
def quiet() -> Any:
    """No warning is expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def constant_module(value: int) -> str:
    return f"define i64 @seven() {{\n  ret i64 {value}\n}}\n"


def call(address: int) -> int:
    import ctypes

    return ctypes.CFUNCTYPE(ctypes.c_int64)(address)()


# --- entries ---


def test_what_was_saved_is_loaded(folder: Path, quiet: None) -> None:
    assert cache.load(KEY) is None
    cache.save(KEY, CODE)
    assert cache.load(KEY) == CODE
    assert [p.name for p in folder.iterdir()] == [f"{KEY}.o"]


def test_keys_tell_parts_apart() -> None:
    parts = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc")]
    assert len({cache.key_of(*p) for p in parts}) == len(parts)


DAMAGE = {
    "truncated": lambda data: data[:-1],
    "cut to the head": lambda data: data[: len(cache.FORMAT) + 32],
    "empty": lambda data: b"",
    "longer": lambda data: data + b"x",
    "a bit of the code": lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
    "a bit of the checksum": lambda data: (
        data[: len(cache.FORMAT)]
        + bytes([data[len(cache.FORMAT)] ^ 1])
        + data[len(cache.FORMAT) + 1 :]
    ),
    "another format": lambda data: b"F" + data[1:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_entry_is_compiled_anew(folder: Path, damage: str) -> None:
    cache.save(KEY, CODE)
    path = folder / f"{KEY}.o"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert cache.load(KEY) is None
    cache.save(KEY, CODE)
    assert cache.load(KEY) == CODE


def test_one_warning_in_a_process(folder: Path) -> None:
    cache.save(KEY, CODE)
    (folder / f"{KEY}.o").write_bytes(b"")
    with pytest.warns(RuntimeWarning) as caught:
        for _ in range(3):
            assert cache.load(KEY) is None
    assert len(caught) == 1


def test_clear_cache(folder: Path, quiet: None) -> None:
    cache.clear_cache()  # there is none yet
    cache.save(KEY, CODE)
    cache.clear_cache()
    assert cache.load(KEY) is None and not list(folder.iterdir())


def test_only_our_own_files_are_deleted(folder: Path, quiet: None) -> None:
    folder.mkdir(mode=0o700)
    others = {"main.o", "notes.txt", "x.tmp", "Makefile"}
    for name in others:
        (folder / name).write_text("mine")
        os.utime(folder / name, (0, 0))
    cache.save(KEY, CODE)
    cache.prune(folder, limit=0)
    cache.save(KEY, CODE)
    cache.clear_cache()
    assert {p.name for p in folder.iterdir()} == others


# --- whom to trust ---


@POSIX
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_directory_that_others_can_write_is_not_trusted(folder: Path, mode: int) -> None:
    cache.save(KEY, CODE)
    folder.chmod(mode)
    with pytest.warns(RuntimeWarning, match="someone else"):
        assert cache.load(KEY) is None
    (folder / f"{KEY}.o").unlink()
    cache.save(KEY, CODE)
    assert not list(folder.iterdir())


@POSIX
def test_file_that_others_can_write_is_not_trusted(folder: Path) -> None:
    cache.save(KEY, CODE)
    (folder / f"{KEY}.o").chmod(0o666)
    with pytest.warns(RuntimeWarning, match="someone else"):
        assert cache.load(KEY) is None


@POSIX
def test_foreign_owner_is_not_trusted(folder: Path, monkeypatch: Any) -> None:
    cache.save(KEY, CODE)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.warns(RuntimeWarning, match="someone else"):
        assert cache.load(KEY) is None
    cache.save("cd" * 32, CODE)
    assert len(list(folder.iterdir())) == 1


@POSIX
def test_new_directory_is_private(folder: Path, quiet: None) -> None:
    old = os.umask(0)
    try:
        cache.save(KEY, CODE)
    finally:
        os.umask(old)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache.load(KEY) == CODE


# --- what cannot be used ---


def test_directory_that_cannot_be_made(folder: Path) -> None:
    folder.write_text("a file is in the way")
    with pytest.warns(RuntimeWarning, match="without its disk cache"):
        cache.save(KEY, CODE)
        assert cache.load(KEY) is None
    assert call(engine.compile_module(constant_module(1001), ["seven"])["seven"]) == 1001


def test_write_that_fails_leaves_nothing(folder: Path, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        cache.save(KEY, CODE)
    assert not list(folder.iterdir())


def test_no_home_directory(folder: Path, monkeypatch: Any) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache, "directory", homeless)
    with pytest.warns(RuntimeWarning, match="home"):
        cache.save(KEY, CODE)
    assert cache.load(KEY) is None
    cache.clear_cache()


@pytest.mark.parametrize(
    ("platform", "variables", "end"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x/caches"}, "/x/caches/functrans"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/functrans"),
        ("linux", {}, "/home/me/.cache/functrans"),
        ("darwin", {}, "/home/me/Library/Caches/functrans"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/functrans/cache"),
        ("linux", {"FUNCTRANS_CACHE_DIR": "/mine"}, "/mine"),
    ],
)
@POSIX
def test_place(platform: str, variables: dict[str, str], end: str, monkeypatch: Any) -> None:
    for name in ("FUNCTRANS_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert str(cache.directory()) == end


# --- size, and many at once ---


def test_prune_deletes_the_least_recently_used(folder: Path, quiet: None) -> None:
    keys = [f"{i:064x}" for i in range(6)]
    for age, key in enumerate(keys):
        cache.save(key, CODE)
        os.utime(folder / f"{key}.o", (10.0 * age, 10.0 * age))
    cache.load(keys[0])  # used just now
    (folder / "functrans-tmp-old").write_bytes(b"")
    os.utime(folder / "functrans-tmp-old", (0, 0))
    (folder / "functrans-tmp-new").write_bytes(b"")
    size = (folder / f"{keys[0]}.o").stat().st_size
    cache.prune(folder, limit=3 * size)
    left = {p.name for p in folder.iterdir()}
    assert left == {*(f"{k}.o" for k in (keys[0], keys[4], keys[5])), "functrans-tmp-new"}


def test_writing_prunes_now_and_then(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(cache, "SIZE_LIMIT", 5 * len(CODE))
    for i in range(256):
        cache.save(f"{i:02x}" * 32, CODE)
    assert len(list(folder.iterdir())) < 80


def test_readers_and_writers_at_once_see_whole_entries(folder: Path, quiet: None) -> None:
    """The same entry written over and over is there for every reader, whole."""
    cache.save(KEY, CODE)
    wrong: list[Any] = []
    stop = time.monotonic() + 0.5

    def write() -> None:
        while time.monotonic() < stop:
            cache.save(KEY, CODE)

    def read() -> None:
        while time.monotonic() < stop:
            if cache.load(KEY) != CODE:
                wrong.append(1)

    threads = [threading.Thread(target=f) for f in (write, read, write, read)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert [p.name for p in folder.iterdir()] == [f"{KEY}.o"]


# --- through the engine ---


def test_fresh_and_cached_code_do_the_same(folder: Path, monkeypatch: Any) -> None:
    ir = constant_module(1002)
    first = engine.compile_module(ir, ["seven"])["seven"]
    assert engine.compile_module(ir, ["seven"])["seven"] == first
    monkeypatch.setattr(engine, "_libraries", {})
    monkeypatch.setattr(engine, "_emit", lambda ir, effort: pytest.fail("compiled again"))
    again = engine.compile_module(ir, ["seven"])["seven"]
    assert again != first
    assert call(first) == call(again) == 1002


def test_modules_may_use_the_same_names(folder: Path) -> None:
    addresses = [engine.compile_module(constant_module(v), ["seven"])["seven"] for v in (3, 4, 5)]
    assert [call(a) for a in addresses] == [3, 4, 5]


def test_symbols_are_bound_at_loading(folder: Path) -> None:
    ir = "declare i64 @other()\ndefine i64 @outer() {\n  %x = call i64 @other()\n  ret i64 %x\n}\n"
    others = [engine.compile_module(constant_module(v), ["seven"])["seven"] for v in (21, 22)]
    outers = [engine.compile_module(ir, ["outer"], {"other": a})["outer"] for a in others]
    assert [call(a) for a in outers] == [21, 22]
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("text", ["define", "define i64 @f() { ret i32 0 }", "define i64 @f() { }"])
def test_invalid_text_is_an_error(folder: Path, text: str) -> None:
    with pytest.raises(RuntimeError):
        engine.compile_module(text, ["f"])


def test_missing_names_are_errors(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="absent"):
        engine.compile_module(constant_module(1003), ["absent"])
    unbound = "declare i64 @absent()\ndefine i64 @f() {\n  %x = call i64 @absent()\n  ret i64 %x\n}"
    with pytest.raises(RuntimeError):
        engine.compile_module(unbound, ["f"])
    assert call(engine.compile_module(constant_module(1004), ["seven"])["seven"]) == 1004


def test_threads_compile_at_once(folder: Path) -> None:
    got: dict[int, int] = {}

    def work(i: int) -> None:
        got[i] = call(engine.compile_module(constant_module(2000 + i % 3), ["seven"])["seven"])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(9)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == {i: 2000 + i % 3 for i in range(9)}


CHILD = """
import sys
from functrans.compiler import engine, runtime
if sys.argv[1] == "second":
    def refuse(ir):
        raise SystemExit("compiled again")
    engine._emit = refuse
runtime.address_of("ft_run")
runtime.address_of("ft_gemm_f64")
print("numba" in sys.modules)
"""


def test_second_process_loads_from_the_cache(folder: Path) -> None:
    for turn in ("first", "second"):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, turn], capture_output=True, text=True, timeout=120,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["False"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_compiles_while_the_parent_held_the_lock(folder: Path) -> None:
    engine.compile_module(constant_module(1), ["seven"])
    code = (
        "import os, sys, threading\n"
        "from functrans.compiler import engine\n"
        "m = 'define i64 @f() {\\n  ret i64 %d\\n}\\n'\n"
        "engine.compile_module(m % 1, ['f'])\n"
        "held, done = threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with engine._lock:\n"
        "        held.set()\n"
        "        done.wait()\n"
        "t = threading.Thread(target=hold)\n"
        "t.start()\n"
        "held.wait()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    engine.compile_module(m % 2, ['f'])\n"
        "    os._exit(7)\n"
        "status = os.waitpid(child, 0)[1]\n"
        "done.set()\n"
        "t.join()\n"
        "sys.exit(os.waitstatus_to_exitcode(status))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=env, timeout=60)
    assert done.returncode == 7
