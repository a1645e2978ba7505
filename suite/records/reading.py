"""Files of a run directory, which anyone may have left: plain, of bounded size and of a model, or BadData."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from suite.errors import BadData

RowT = TypeVar("RowT", bound=BaseModel)

LINE_BYTES, FILE_BYTES = 16 * 2**20, 64 * 2**20
"""No line of a log, and no file that is read whole, is as long."""

_ANEW = "Move this run directory away; the run will then start anew."


def read_rows(path: Path, model: type[RowT], size: int | None = None) -> Iterator[RowT]:
    """Yield the complete rows of a log, or of its first `size` bytes; an unfinished last line is no record."""
    try:
        with open_regular(path) as file:
            for number in itertools.count(1):
                if size is not None and file.tell() >= size:
                    return
                line = file.readline(LINE_BYTES)
                if len(line) == LINE_BYTES:
                    raise BadData(f"{path}:{number} has more than {LINE_BYTES:,} bytes.", _ANEW)
                if not line.endswith(b"\n"):
                    return
                try:
                    yield model.model_validate_json(line)
                except ValidationError as error:
                    raise _damaged(f"{path}:{number}", error) from error
    except FileNotFoundError:
        return


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it; BadData if it is a pipe, which never answers, or a device, which never ends."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadData(f"{path} is no plain file.", _ANEW)
    return os.fdopen(descriptor, "rb")


def read_whole(path: Path, model: type[RowT]) -> RowT:
    """Read a file that is one JSON document."""
    try:
        with open_regular(path) as file:
            content = file.read(FILE_BYTES)
        if len(content) == FILE_BYTES:
            raise BadData(f"{path} has more than {FILE_BYTES:,} bytes.", _ANEW)
        return model.model_validate_json(content)
    except FileNotFoundError as error:
        raise BadData(f"{path} is missing.", _ANEW) from error
    except ValidationError as error:
        raise _damaged(str(path), error) from error


def _damaged(where: str, error: ValidationError) -> BadData:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    detail = f"{field}: {first['msg']}" if field else first["msg"]
    return BadData(f"{where} is damaged ({detail}).", _ANEW)
