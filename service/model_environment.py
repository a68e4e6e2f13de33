"""What a model's own environment holds, as one fingerprint: its Python and each installed distribution.

Recorded with every run, so that a replay can tell a changed library from changed code. Does not own the environment:
it is built from the model's lock.
"""

import subprocess

from service.errors import BadUsage

LIMIT_SECONDS = 60
# The RECORD lists each file of a distribution with its hash, as it was installed.
LISTING = """
import hashlib, importlib.metadata, sys
held = sorted(
    f"{d.metadata['Name']}=={d.version} {hashlib.sha256((d.read_text('RECORD') or '').encode()).hexdigest()}"
    for d in importlib.metadata.distributions()
)
text = chr(10).join([sys.version, *held])
print(hashlib.sha256(text.encode()).hexdigest())
"""


def fingerprint(python: str) -> str:
    """The fingerprint of the environment of an interpreter: `sha256:` and 64 hex digits.

    Raises:
        BadUsage: the interpreter does not start.
    """
    # -I: the listing must not see the folder that it runs in, nor variables of this process.
    command = [python, "-I", "-c", LISTING]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={}, timeout=LIMIT_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        text = f"The model's interpreter '{python}' does not start: {getattr(error, 'strerror', None) or error}."
        to_do = "Set MODEL_PYTHON to the Python of the model's environment."
        raise BadUsage(text, to_do, where="environment") from error
    return f"sha256:{done.stdout.strip()}"
