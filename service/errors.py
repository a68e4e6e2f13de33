"""The errors that people are meant to read, each with the exit code of `python -m service`.

    ServiceError
    ├── BadUsage        exit 2: a command, model.yaml or the environment must be changed; repeating does not help
    ├── BadData         exit 3: the input or the predictions must be changed; repeating does not help
    └── UpstreamFailed  exit 4: a service failed or a process was killed; repeating may help

Does not own exit 0 (done) and 1 (a bug: any other exception).
"""

from typing import ClassVar


class ServiceError(Exception):
    """A failure with a text of three parts; raise one of its subclasses.

    Args:
        what: one or more sentences that say what is wrong, the value in quotes.
        to_do: one or more sentences that say what to do about it; never empty.
        where: file and place, table, object or job; left out when `what` names it.
    """

    exit_code: ClassVar[int]

    def __init__(self, what: str, to_do: str, *, where: str = "") -> None:
        super().__init__(f"{where}: {what} {to_do}" if where else f"{what} {to_do}")
        self.what, self.to_do, self.where = what, to_do, where


class BadUsage(ServiceError):
    """A command line, a description of a model or the environment is wrong."""

    exit_code = 2


class BadData(ServiceError):
    """The input, a version or the predictions are not fit for use."""

    exit_code = 3


class UpstreamFailed(ServiceError):
    """Google Cloud failed, or the run or the model's own process was killed."""

    exit_code = 4
