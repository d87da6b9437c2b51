"""What one file tells about its functions: plain data, made once for each content and kept in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["MODULE", "Blocking", "CallFacts", "FunctionFacts", "ModuleFacts"]

MODULE = ""  # the name under which the code outside of functions is kept


class Blocking(NamedTuple):
    """One place where a function blocks its thread.

    Attributes:
        kind: `http`, `sdk` (a vendor's client, which does HTTP), `sleep` or `process`.
        what: What blocks, in words: `requests.get`.
        line: Its line, from 1.
    """

    kind: str
    what: str
    line: int


class CallFacts(NamedTuple):
    """One call that a function makes of something that may be the project's own.

    Attributes:
        reference: What is called: `:Class.method` in the same module, `.sibling.name`, `package.module.name`.
        how: `called`, `iterated` as it is called, `awaited`, `shipped` to a thread or an executor, or `deferred`: in a
            lambda that runs who knows when, or by a function that asks first whether a loop runs.
        line: Line of the call, from 1; of the call that ships it, where it is shipped.
        end_line: Its last line.
        column: Its column, in characters from 1.
    """

    reference: str
    how: str
    line: int
    end_line: int
    column: int


class FunctionFacts(NamedTuple):
    """What one function tells its callers' audit.

    Attributes:
        limits: It does its work under a limiter that it shares with other calls.
        ending: How its own loops and waits end, as the number of an `Ending`.
        is_async: It is a coroutine function.
        blocks: Where it blocks its thread itself.
        calls: What it calls.
        makes: The blocking HTTP client that it returns, if it does: `requests.Session`.
        runs: When its body runs: `iterated`, as a generator's does; `once`, as its only result is cached; "" for each
            time that it is called.
    """

    limits: bool = False
    ending: int = 0
    is_async: bool = False
    blocks: tuple[Blocking, ...] = ()
    calls: tuple[CallFacts, ...] = ()
    makes: str | None = None
    runs: str = ""


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """What one module tells about its functions and names.

    Attributes:
        functions: Facts of each function, by qualified name; the code outside of functions by `MODULE`.
        bases: References of the base classes of each class, by qualified name.
        imports: What imported names stand for.
    """

    functions: dict[str, FunctionFacts]
    bases: dict[str, tuple[str, ...]]
    imports: dict[str, str]

    def as_data(self) -> list[Any]:
        """Return it as JSON data, as short as can be."""
        return [self.functions, self.bases, self.imports]

    @classmethod
    def of_data(cls, data: list[Any]) -> ModuleFacts:
        """Return what `as_data` made into JSON data."""
        functions, bases, imports = data
        return cls(
            {name: _function(one) for name, one in functions.items()},
            {name: tuple(found) for name, found in bases.items()},
            imports,
        )


def _function(data: list[Any]) -> FunctionFacts:
    limits, ending, is_async, blocks, calls, makes, runs = data
    told = tuple(map(Blocking._make, blocks)), tuple(map(CallFacts._make, calls))
    return FunctionFacts(limits, ending, is_async, *told, makes, runs)
