"""The Dockerfile of one model's image, with an ignore file of its own beside it.

Docker and docker-build read `<Dockerfile>.dockerignore` before the context's. Without one, every image's context would
hold every model, and a change of one would rebuild all. Does not own what is in an image (container/Dockerfile).
"""

import tempfile
from pathlib import Path

FOLDER = ".build"


def written(root: Path, model: str) -> str:
    """Write both files below `.build`, unless they are there as they should be; safe for two programs at once.

    Returns:
        The Dockerfile's path, relative to the repository's root.
    """
    models = root / "service" / "models"
    others = sorted(entry.name for entry in models.iterdir() if entry.name != model)
    ignored = (root / ".dockerignore").read_text() + "".join(f"service/models/{name}\n" for name in others)
    path = f"{FOLDER}/{model}.Dockerfile"
    (root / FOLDER).mkdir(exist_ok=True)
    _write(root / path, (root / "container" / "Dockerfile").read_text())
    _write(root / f"{path}.dockerignore", ignored)
    return path


def _write(file: Path, text: str) -> None:
    """Write aside, then rename: whoever reads meanwhile sees the old text or the new one."""
    if file.exists() and file.read_text() == text:
        return
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as aside:
        aside.write(text)
    Path(aside.name).chmod(0o644)  # as a checkout would make it
    Path(aside.name).rename(file)
