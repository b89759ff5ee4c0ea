"""What the SQLite of this process does to the files of a folder, write by write.

A VFS stands between SQLite and its own: it passes everything on, and notes each write, truncation, sync and deletion
that succeeded. It is registered, through ctypes, as the default of the very library that `sqlite3` uses, so that what
is recorded are the real writes of the real store, which knows nothing of it. (apsw cannot do this: it brings a SQLite
of its own.) That needs a Python whose `sqlite3` lets its library be reached: those of Linux distributions, pyenv and
Homebrew do; where it cannot be, `DiskLog` raises `UnsupportedError`.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import sqlite3
import tempfile
import threading
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import ClassVar, TypeVar

from openstackai_sessions_core import UnsupportedError

__all__ = ["DiskLog", "FileEvent", "FileEventKind"]

Self = TypeVar("Self", bound="DiskLog")

OK = 0
CREATING = 0x4
# Of a journal and of a WAL: SQLite syncs the folder with the first sync of one that it opens so as to create it.
JOURNALS = 0x800 | 0x4000 | 0x80000

# Paths are passed on as they come: SQLite's own VFS keeps the pointer, and looks behind the end of the name.
OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
CLOSE = CFUNCTYPE(c_int, c_void_p)
WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class FileEventKind(Enum):
    """What was done to a file."""

    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    DELETE = "delete"


@dataclass(frozen=True)
class FileEvent:
    """One thing done to one file. `at` is the log's clock."""

    at: int
    kind: FileEventKind
    name: str
    """Of the file, within the folder."""
    offset: int = 0
    """Of what was written, in bytes; or the size that a file was cut to."""
    data: bytes = b""
    syncs_folder: bool = False
    """Whether the folder, which knows what files there are, was synced with it."""


class _Methods(Structure):
    """The functions of an open file (sqlite3_io_methods, version 3)."""

    _fields_: ClassVar = [
        ("version", c_int),
        ("close", CLOSE),
        ("read", c_void_p),
        ("write", WRITE),
        ("truncate", TRUNCATE),
        ("sync", SYNC),
        ("others", c_void_p * 13),
    ]


class _File(Structure):
    _fields_: ClassVar = [("methods", POINTER(_Methods))]


class _VFS(Structure):
    """The functions of a file system (sqlite3_vfs, version 3)."""

    _fields_: ClassVar = [
        ("version", c_int),
        ("file_size", c_int),
        ("path_size", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", OPEN),
        ("delete", DELETE),
        ("others", c_void_p * 14),
    ]


# SQLite may call these for as long as a connection is open, which may be longer than anybody here knows.
_kept: list[object] = []
_numbers = itertools.count(1)


class DiskLog:
    """Records what SQLite does to the files of a folder, within a `with` block.

    Connections that are opened in this process while the block lasts are watched; close them before it ends. Several
    threads may use them. A second block begins with nothing recorded. `tick` is a clock that orders events and, given
    to a `Recorder`, calls among them.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(os.path.realpath(folder))
        self.events: list[FileEvent] = []
        """What happened, in order."""
        self.found: dict[str, bytes] = {}
        """What the files held that were there before, as SQLite came upon them."""
        self._clock = itertools.count(1)
        self._lock = threading.Lock()
        self._names: dict[int, tuple[str, _Methods]] = {}
        self._met: set[str] = set()
        self._new: set[int] = set()
        self._replacements: dict[int, _Methods] = {}
        self._library = _library()

    def tick(self) -> int:
        """The time: a number that nothing else has been given."""
        return next(self._clock)

    def __enter__(self: Self) -> Self:
        self._real = self._library.sqlite3_vfs_find(None)
        real = self._real.contents
        self._mine = _VFS.from_buffer_copy(real)
        self._mine.next = None
        self._mine.name = f"openstackai-sessions-disk-log-{next(_numbers)}".encode()
        self._mine.open = OPEN(self._open)
        self._mine.delete = DELETE(self._delete)
        self._call_open, self._call_delete = real.open, real.delete
        _kept.append(self)
        self._library.sqlite3_vfs_register(ctypes.byref(self._mine), 1)
        self._prove()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._mine))
        self._library.sqlite3_vfs_register(self._real, 1)

    def _prove(self) -> None:
        """Raise where the library that was found is not the one that `sqlite3` uses."""
        self.events.clear()
        self.found.clear()
        self._met.clear()
        with tempfile.TemporaryDirectory() as folder:
            watched, self.folder = self.folder, Path(os.path.realpath(folder))
            db = sqlite3.connect(self.folder / "x.db")
            db.execute("CREATE TABLE t (x)")
            db.close()
            self.folder = watched
        if not self.events:
            self.__exit__(None, None, None)
            raise UnsupportedError("the SQLite library of this Python cannot be watched")
        self.events.clear()
        self._met.clear()

    # -- Called by SQLite -----------------------------------------------------------------------------------------

    def _note(
        self, kind: FileEventKind, name: str, offset: int = 0, data: bytes = b"", *, folder: bool = False
    ) -> None:
        with self._lock:
            self.events.append(FileEvent(self.tick(), kind, name, offset, data, folder))

    def _name(self, path: int | None) -> str | None:
        """The name of a file in the folder; None of others."""
        if path is None:
            return None
        file = Path(os.path.realpath(os.fsdecode(ctypes.string_at(path))))
        if file.parent != self.folder:
            return None
        with self._lock:
            if file.name not in self._met:
                self._met.add(file.name)
                if file.exists():
                    self.found[file.name] = file.read_bytes()
        return file.name

    def _open(self, _vfs: int, path: int | None, file: int, flags: int, out: int) -> int:
        name = self._name(path)
        was_there = name is not None and (self.folder / name).exists()
        result = int(self._call_open(ctypes.addressof(self._real.contents), path, file, flags, out))
        opened = _File.from_address(file)
        if result != OK or name is None or not opened.methods:
            return result
        if not was_there and (self.folder / name).exists():
            self._note(FileEventKind.CREATE, name)
        real = opened.methods.contents
        address = ctypes.addressof(real)
        if address not in self._replacements:
            mine = _Methods.from_buffer_copy(real)
            mine.close, mine.write = CLOSE(self._close), WRITE(self._write)
            mine.truncate, mine.sync = TRUNCATE(self._truncate), SYNC(self._sync)
            self._replacements[address] = mine
        self._names[file] = name, real
        if flags & CREATING and flags & JOURNALS:
            self._new.add(file)
        opened.methods = ctypes.pointer(self._replacements[address])
        return result

    def _delete(self, _vfs: int, path: int, sync: int) -> int:
        name = self._name(path)
        result = int(self._call_delete(ctypes.addressof(self._real.contents), path, sync))
        if result == OK and name is not None:
            self._note(FileEventKind.DELETE, name, folder=bool(sync))
        return result

    def _close(self, file: int) -> int:
        _, real = self._names.pop(file)
        self._new.discard(file)
        return int(real.close(file))

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        name, real = self._names[file]
        result = int(real.write(file, data, size, offset))
        if result == OK:
            self._note(FileEventKind.WRITE, name, offset, ctypes.string_at(data, size))
        return result

    def _truncate(self, file: int, size: int) -> int:
        name, real = self._names[file]
        result = int(real.truncate(file, size))
        if result == OK:
            self._note(FileEventKind.TRUNCATE, name, size)
        return result

    def _sync(self, file: int, flags: int) -> int:
        name, real = self._names[file]
        result = int(real.sync(file, flags))
        if result == OK:
            self._note(FileEventKind.SYNC, name, folder=file in self._new)
            self._new.discard(file)
        return result


def _library() -> ctypes.CDLL:
    """The SQLite that the `sqlite3` module was linked with."""
    try:
        library = ctypes.CDLL(getattr(import_module("_sqlite3"), "__file__", None))
        library.sqlite3_vfs_find.restype = POINTER(_VFS)
        library.sqlite3_vfs_find.argtypes = [c_char_p]
        library.sqlite3_vfs_register.argtypes = [c_void_p, c_int]
        library.sqlite3_vfs_unregister.argtypes = [c_void_p]
    except (AttributeError, ImportError, OSError) as error:
        raise UnsupportedError("the SQLite library of this Python cannot be watched") from error
    return library
