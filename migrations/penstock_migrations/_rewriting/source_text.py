"""`SourceText`: a Python file's bytes as text and back, so that what is not rewritten stays as it is to the byte."""

from __future__ import annotations

import codecs
import io
import tokenize
import warnings
from dataclasses import dataclass
from typing import Self

__all__ = ["RewriteError", "SourceText", "check_compiles"]


class RewriteError(ValueError):
    """A file cannot be rewritten; the message says why."""


@dataclass(frozen=True, slots=True)
class SourceText:
    """The text of a Python file, and what is needed to give its bytes back.

    Attributes:
        text: The decoded text, its line ends as they are.
        encoding: By its coding cookie, else UTF-8.
        mark: The byte order mark, if it begins with one.
    """

    text: str
    encoding: str
    mark: bytes

    @classmethod
    def decode(cls, source: bytes) -> Self:
        """Decode as Python does.

        Raises:
            RewriteError: The bytes are not what the coding cookie says, or it names no encoding.
        """
        mark = codecs.BOM_UTF8 if source.startswith(codecs.BOM_UTF8) else b""
        body = source[len(mark) :]
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(body).readline)
            return cls(body.decode(encoding), encoding, mark)
        except (SyntaxError, UnicodeDecodeError) as error:
            raise RewriteError(f"cannot be decoded: {error}") from None

    def encode_valid(self, text: str) -> bytes:
        """Return the bytes of another text for the same file, which Python compiles.

        Raises:
            RewriteError: The file's encoding has no such character, or the text does not compile.
        """
        try:
            source = self.mark + text.encode(self.encoding)
            check_compiles(source, "rewritten")
        except (UnicodeEncodeError, SyntaxError) as error:
            raise RewriteError(f"would be no valid Python when rewritten: {error}") from None
        return source


def check_compiles(source: bytes, name: str) -> None:
    """Compile without running or importing anything.

    Raises:
        SyntaxError: It does not compile.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old escape sequence is the project's own matter
            compile(source, name, "exec", dont_inherit=True)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error)) from None
