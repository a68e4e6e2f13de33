"""The folder of a rehearsal: held by one rehearsal at a time, and emptied only if a rehearsal made it.

Does not own what lies in it, nor the processes that belong to it (processes.py).
"""

import fcntl
import shutil
from pathlib import Path
from typing import IO

MARKER = ".rehearsal"
NOTE = "A rehearsal made this folder. The next one in it removes everything here.\n"


class FolderRefused(Exception):
    """The folder cannot be used: which, why, and what to do."""


def hold(folder: Path) -> IO[str]:
    """Make the folder and hold it until the returned file is closed, or this process ends however it may.

    Raises:
        FolderRefused: it cannot be written, holds something else than a rehearsal, or another rehearsal holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MARKER).exists() and (found := next(folder.iterdir(), None)):
            text = f"Folder {str(folder)!r} is not a rehearsal's: it holds {found.name!r}, which would be removed."
            raise FolderRefused(f"{text} Choose a new or empty one with --folder.")
        marker = (folder / MARKER).open("w")
        marker.write(NOTE)
        marker.flush()
    except OSError as error:
        text = f"Cannot write to folder {str(folder)!r}: {error.strerror}."
        raise FolderRefused(f"{text} Choose another with --folder.") from error
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        marker.close()
        text = f"Another rehearsal runs in folder {str(folder)!r}."
        raise FolderRefused(f"{text} Wait for its end, or choose another with --folder.") from error
    return marker


def clear(folder: Path) -> None:
    """Remove everything but the marker, so that a clearing which was killed half-way can be done again.

    Raises:
        FolderRefused: something in it cannot be removed.
    """
    try:
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != MARKER:
                entry.unlink()
    except OSError as error:
        text = f"Cannot remove {str(error.filename)!r} in folder {str(folder)!r}: {error.strerror}."
        raise FolderRefused(f"{text} Remove it yourself, or choose another with --folder.") from error
