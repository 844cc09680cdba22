"""One writer a folder: a lock file with process, host and time, refreshed while the writer lives.

Shares of one generation (`--shard i/n`) lock their chains only. A lock whose writer is dead is taken over: on this host
the process is looked up, on another one the file has not been touched for STALE seconds.
"""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pdeflow.errors import UsageError

REFRESH, STALE = 20.0, 300.0
"""Seconds between two signs of life, and after which a writer on another host counts as dead."""

NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems without hard links answer."""


@contextmanager
def sole_writer(root: Path, share: int = 0, shares: int = 1) -> Iterator[None]:
    """Hold a folder, or the chains of one share of it.

    Args:
        root: Folder of the dataset; made where missing, and removed again where nothing was written.
        share: Number of the share, from 0.
        shares: How many there are.

    Yields:
        Nothing; another writer of the same chains is refused meanwhile.

    Raises:
        UsageError: If somebody else is writing the same chains.
    """
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    path = root / f".writer-{share + 1}-of-{shares}.lock"
    mine = _acquire(root, path, share, shares)
    done = threading.Event()
    threading.Thread(target=_refresh, args=(path, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()
        if _read(path) == mine:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # the first that holds something stays, and so do those above it
            for folder in missing:
                folder.rmdir()


def _acquire(root: Path, path: Path, share: int, shares: int) -> dict[str, Any]:
    """Make the lock file, or raise."""
    mine = {
        "pid": os.getpid(), "started": process_start(os.getpid()), "host": platform.node(),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"), "share": share, "shares": shares,
    }  # fmt: skip
    while not create_once(path, json.dumps(mine)):
        _refuse_living(root, path, time.time())
        _take_away(path)
    now = path.stat().st_mtime  # of the file system's clock, which another host's file has as well
    for other in sorted(root.glob(".writer-*.lock")):
        owner = _read(other)
        if other != path and owner and (share - owner["share"]) % math.gcd(shares, owner["shares"]) == 0:
            try:
                _refuse_living(root, other, now)
            except UsageError:
                path.unlink(missing_ok=True)
                raise
            _take_away(other)
    return mine


def create_once(path: Path, text: str) -> bool:
    """Make a file with its content at once.

    Args:
        path: The file.
        text: Its content.

    Returns:
        False where the file exists already.
    """
    aside = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        aside.write_text(text, encoding="utf-8")
        os.link(aside, path)  # unlike a rename, this fails where the file exists
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if path.exists():
            return False
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return True


def _refuse_living(root: Path, path: Path, now: float) -> None:
    """Raise where the writer behind a lock lives."""
    owner = _read(path)
    if owner is None:
        return
    try:
        age = now - path.stat().st_mtime
    except FileNotFoundError:
        return
    here = owner["host"] == platform.node()
    if (process_start(owner["pid"]) != owner["started"]) if here else (age > STALE):
        return
    raise UsageError(
        f"{root} is being written by process {owner['pid']} on {owner['host']} since {owner['time']}; wait for it or stop "
        f"it (if it is gone, remove {path}), or choose another --out"
    )


def _take_away(path: Path) -> None:
    """Remove a dead writer's lock; of several who try, one succeeds, and none removes a living writer's."""
    dead = _read(path)
    aside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.dead")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if _read(aside) != dead:  # meanwhile somebody else took it away and made a new one: give it back
        with suppress(OSError):
            os.link(aside, path)
    aside.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a lock, or None where there is none."""
    try:
        owner = dict(json.loads(path.read_text(encoding="utf-8")))
        return owner if {"pid", "started", "host", "time", "share", "shares"} <= owner.keys() else None
    except (OSError, ValueError, TypeError):
        return None


def _refresh(path: Path, done: threading.Event) -> None:
    while not done.wait(REFRESH):
        with suppress(OSError):
            os.utime(path)


def process_start(pid: int) -> str | None:
    """Return what tells a process from an earlier one of the same number: its start; None where it does not run.

    Args:
        pid: Number of a process of this host.

    Returns:
        Its start in the system's clock ticks; "running" on systems that do not say.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]  # "starttime", field 22 of proc(5)
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists() or os.name != "posix":
            return None if os.name == "posix" else "running"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "running"
