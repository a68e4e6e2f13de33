"""Puts the model's source folder on the path, as the service does.

The tests need only the model's own environment and pytest, from the model's folder:
uv run --no-project --isolated --with-requirements requirements.txt --with pytest pytest tests
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "source"))
