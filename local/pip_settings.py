"""The person's pip settings in the words of uv, which reads none of pip's files.

Whoever told pip where packages come from has told us, too.
"""

import configparser
import os
import sys
from collections.abc import Mapping
from pathlib import Path

# pip's option -> uv's variable; a list in pip is separated by white space, in uv as given here.
_OPTIONS = {
    "index-url": ("UV_DEFAULT_INDEX", ""),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", ""),
    "cert": ("SSL_CERT_FILE", ""),
    "timeout": ("UV_HTTP_TIMEOUT", ""),
    "default-timeout": ("UV_HTTP_TIMEOUT", ""),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "proxy": ("ALL_PROXY", ""),
}


def options(environ: Mapping[str, str]) -> dict[str, str]:
    """What the person told pip, by option; a list is separated by white space."""
    return {**_from_files(environ), **_from_variables(environ)}


def conf(options: Mapping[str, str], *, cert: str | None) -> str:
    """A pip.conf of the same for another machine or a container: without folders, which that one does not have.

    Args:
        cert: the bundle of certificates there.
    """
    links = " ".join(link for link in options.get("find-links", "").split() if "://" in link)
    wanted = {**options, "find-links": links, "cert": cert or ""}
    return "[global]\n" + "".join(f"{name} = {value.strip()}\n" for name, value in wanted.items() if value.strip())


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment so that uv behaves as pip would. Variables of uv's own that are set win."""
    found: dict[str, str] = {}
    for option, value in options(environ).items():
        name, separator = _OPTIONS[option]
        found[name] = separator.join(value.split()) if separator else value.strip()
    return {name: value for name, value in found.items() if value and name not in environ}


def _from_variables(environ: Mapping[str, str]) -> dict[str, str]:
    names = {option: f"PIP_{option.upper().replace('-', '_')}" for option in _OPTIONS}
    return {option: environ[name] for option, name in names.items() if name in environ}


def _from_files(environ: Mapping[str, str]) -> dict[str, str]:
    """The options of pip's files, the more personal file winning, as `pip config debug` lists them."""
    home = Path(environ.get("HOME", "/"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        config / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    if environ.get("PIP_CONFIG_FILE") == os.devnull:
        files = []  # pip's documented way to read no file at all
    elif "PIP_CONFIG_FILE" in environ:
        files.append(Path(environ["PIP_CONFIG_FILE"]))
    parser = configparser.RawConfigParser()
    parser.read(files, encoding="utf-8")
    sections = [dict(parser[name]) for name in ("global", "install") if name in parser]
    return {option: section[option] for section in sections for option in _OPTIONS if option in section}
