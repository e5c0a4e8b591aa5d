"""Everything that can go wrong, as one tree.

::

    DibflowError                 a person can mend it: shown without a traceback
    ├── UsageError          2    the command line or a Luigi parameter
    ├── DefinitionError     2    an image definition (file, line, key)
    ├── ElementError        3    elements and their hooks
    │   ├── ElementNotFound
    │   ├── AlreadyProvided
    │   ├── MissingOperatingSystem
    │   ├── DuplicateHook
    │   └── ElementsPathError
    ├── HostError           4    what the machine lacks (a tool, a privilege)
    ├── StoreError          5    the store: unreadable, of a newer version, damaged
    │   └── StoreFull
    ├── StepError           6    a step of the build
    │   ├── HookFailed
    │   └── BootFailed
    └── Interrupted       130    stopped on request; the same command goes on

The number is the exit status of ``dibflow`` (``docs/errors.md``). Any other exception is a bug and
keeps its traceback.

A message says what was being done, to what, and what was found: lower case, no full stop, values
quoted. `hint` says what to do next.
"""

from __future__ import annotations


class DibflowError(Exception):
    """A failure that a person can mend, with the way to mend it in `hint`."""

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Give the message, with the hint on a line of its own."""
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UsageError(DibflowError):
    """A command line or parameter that makes no sense."""

    exit_status = 2


class DefinitionError(DibflowError):
    """An image definition that cannot be read; the message starts with ``file:line:``."""

    exit_status = 2


class ElementError(DibflowError):
    """Something about elements or hooks."""

    exit_status = 3


class ElementNotFound(ElementError):
    """A name that no directory of the elements path offers."""


class AlreadyProvided(ElementError):
    """Two elements provide the same name, or a provided name was asked for as well."""


class MissingOperatingSystem(ElementError):
    """No element of the image provides ``operating-system``."""


class DuplicateHook(ElementError):
    """Two elements bring a file of the same name for the same directory of the hooks tree."""


class ElementsPathError(ElementError):
    """An entry of ``ELEMENTS_PATH`` that is not a directory."""


class HostError(DibflowError):
    """The machine lacks something: a tool, a privilege, a kernel feature."""

    exit_status = 4


class StoreError(DibflowError):
    """The store cannot be used."""

    exit_status = 5


class StoreFull(StoreError):
    """The filesystem of the store has no room left."""


class StepError(DibflowError):
    """A step of a build failed."""

    exit_status = 6


class HookFailed(StepError):
    """A hook ended with a non-zero status or by a signal (then `status` is 128 plus its number)."""

    def __init__(self, message: str, *, hint: str = "", status: int) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class BootFailed(StepError):
    """An image did not come up in a virtual machine."""


class Interrupted(DibflowError):
    """The build was stopped on request (SIGINT, SIGTERM)."""

    exit_status = 130
