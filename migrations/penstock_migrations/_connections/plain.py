"""`Plain`: which calls are plainly harmless while a connection is held, and which expressions are plainly data."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from penstock_migrations._code.module import Binding, Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.vocabulary import vocabulary
from penstock_migrations._connections.sessions import HELPERS, READERS, REGISTERING, Sessions
from penstock_migrations._connections.users import Users

__all__ = ["Plain"]

# What waits, runs anything, or ends the program.
_WAITING = vocabulary("open input exec eval compile breakpoint help exit quit next anext aiter super __import__")
_BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("_")) - _WAITING
_PASSING_ON = vocabulary("enumerate zip reversed map filter iter sorted list tuple set chain islice")
_CALLING = vocabulary("map filter sorted min max reduce partial groupby accumulate starmap takewhile dropwhile iter")
_MODULES = vocabulary(
    "json logging math datetime uuid re hashlib base64 decimal itertools functools collections copy dataclasses enum"
    " operator string textwrap statistics random secrets zlib typing warnings traceback fractions orjson os.path"
    " psycopg.sql psycopg.rows psycopg.types psycopg2.sql psycopg2.extras psycopg2.extensions pgvector binascii struct"
    " pydantic.TypeAdapter sqlalchemy sqlmodel asyncpg.exceptions"
)
_FUNCTIONS = vocabulary(
    "time.time time.monotonic time.perf_counter time.time_ns time.monotonic_ns time.perf_counter_ns time.strftime"
    " os.getenv os.environ.get os.getpid pathlib.Path pathlib.PurePath contextlib.suppress contextlib.nullcontext"
    " contextlib.ExitStack contextlib.AsyncExitStack asyncio.timeout asyncio.timeout_at sys.exc_info numpy.array"
    " numpy.asarray pandas.DataFrame"
)
_OPENING = vocabulary(
    "create_engine create_async_engine create_pool engine_from_config sessionmaker Session"
    " async_sessionmaker AsyncSession scoped_session"
)
_OPAQUE = vocabulary("getattr cast copy deepcopy partial vars globals locals max min reduce itemgetter attrgetter")
_ENDLESS = vocabulary("itertools.count itertools.cycle itertools.repeat")
_WRAPPERS = vocabulary("wait_for shield gather closing aclosing enter_context enter_async_context cast")
# Methods that text, rows, times and statements have, and little else.
_TELLING = vocabulary(
    "strip lstrip rstrip lower upper title capitalize split rsplit splitlines partition rpartition format format_map"
    " startswith endswith removeprefix removesuffix zfill ljust rjust isdigit isoformat strftime timestamp tolist"
    " total_seconds items keys values model_dump model_dump_json model_validate hexdigest get_secret_value as_string"
    " isEnabledFor is_closed in_ not_in like ilike is_ is_not desc asc label astimezone"
)
# Methods that lists, dictionaries and sets have, and queues, caches and clients, too.
_OF_DATA = _TELLING | vocabulary(
    "append extend setdefault encode decode get pop popitem popleft update add remove discard clear copy count index"
    " find rfind sort reverse insert join replace union intersection difference issubset issuperset appendleft date"
    " time weekday translate hex fromkeys most_common group groups groupdict total elements where order_by limit offset"
    " returning filter filter_by select_from group_by having distinct with_for_update on_conflict_do_update"
    " on_conflict_do_nothing options"
)
_LOGS = vocabulary("log logger logging structlog getlogger get_logger")
_LEVELS = vocabulary("debug info warning warn error exception critical log bind isEnabledFor")
_RECORDS = vocabulary("NamedTuple TypedDict BaseModel Exception ValueError RuntimeError LookupError KeyError Protocol")
_MAKING = ("__init__", "__new__", "__post_init__", "model_post_init", "__init_subclass__")
_ANNOTATED = vocabulary(
    "str bytes int float bool list tuple dict set frozenset Sequence Mapping Collection List Dict Tuple Set Decimal"
    " datetime date timedelta UUID Path None Optional"
)
_DEEP = 6


class Plain:
    """Answers what is harmless in one module."""

    def __init__(self, users: Users) -> None:
        self.users = users
        self.module: Module = users.module

    def is_harmless(self, call: ast.Call, session: Sessions) -> bool:
        """Say whether a call waits for nothing but the connection, and calls nothing that is not seen."""
        return (
            self._is_known(call)
            or self._is_reader(call, session)
            or self._is_method(call, session)
            or self._is_wrapper(call, session)
            or self._is_constructor(call)
            or self._is_raised(call)
        ) and all(self._is_function(one, call, session) for one in self._functions_given(call))

    def takes(self, call: ast.Call, session: Sessions) -> bool:
        """Say whether a call that is given the connection, or a cursor of it, only looks at it, or is its own."""
        if last_name(call.func) == "setattr":
            return False
        is_kept = isinstance(call.func, ast.Attribute) and not session.is_handle(call.func.value)
        known = self._is_wrapper(call, session) or self._is_known(call) or self._is_reader(call, session)
        return known or (not is_kept and self.is_harmless(call, session))

    def is_own(self, node: ast.expr, session: Sessions) -> bool:
        """Say whether what is awaited, or entered, is the connection's, or is done at once."""
        match node:
            case ast.Call():
                return True  # judged as a call
            case _:
                return session.is_handle(node)

    def is_finite(self, node: ast.expr, session: Sessions) -> bool:
        """Say whether a loop over something ends, and waits for nothing but the connection."""
        match node:
            case ast.Call() if self.module.qualified(node.func) in _ENDLESS:
                return False
            case ast.Call(args=[_, _]) if last_name(node.func) == "iter":
                return False
            case ast.Call(args=arguments) if last_name(node.func) in _PASSING_ON and self._is_known(node):
                return all(self.is_finite(one, session) for one in arguments if one not in self._functions_given(node))
            case ast.GeneratorExp():
                return True  # its own loops are judged
            case ast.Call():
                return True  # judged as a call
            case ast.Name(id=name) if name.isupper() and name in self.module.imports:
                return True
            case _:
                return self.is_data(node, session)

    def is_data(self, node: ast.expr, session: Sessions, deep: int = _DEEP) -> bool:
        """Say whether an expression is text, a number, a row, or a collection of the program's own."""
        match node:
            case _ if not deep:
                return False
            case ast.BoolOp(values=values):
                return all(self.is_data(one, session, deep - 1) for one in values)
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_data(body, session, deep - 1) and self.is_data(orelse, session, deep - 1)
            case ast.Await(value=inner) | ast.Starred(value=inner):
                return self.is_data(inner, session, deep - 1)
            case ast.Subscript(value=inner):
                return self._is_deep(inner, session, deep - 1)
            case ast.Call() if not session.is_derived(node):
                is_opaque = last_name(node.func) in _OPAQUE or self._is_constructor(node)
                return not is_opaque and self.is_harmless(node, session)
            case ast.Call():
                return True
            case ast.Name():
                return session.is_derived(node) or self._is_named(node, session, deep)
            case ast.Attribute(value=owner):
                return session.is_derived(node) or self._is_kept(node, session, deep) or self._is_row(owner, session)
            case _:
                return not isinstance(node, ast.Lambda | ast.Yield | ast.YieldFrom)

    # -- calls --------------------------------------------------------------------------------------------------------

    def _is_known(self, call: ast.Call) -> bool:
        """Say whether a call is one of the builtins, or of a library that only computes."""
        name = last_name(call.func)
        if isinstance(call.func, ast.Name) and name in _BUILTINS and name not in self.module.names:
            return True
        known = self.module.qualified(call.func) or ""
        if known in _FUNCTIONS:
            return True
        return name not in _OPENING and any(known == one or known.startswith(f"{one}.") for one in _MODULES)

    def _is_reader(self, call: ast.Call, session: Sessions) -> bool:
        """Say whether a call works on the connection it is given; what that does to the session is looked at apart."""
        return last_name(call.func) in HELPERS | READERS | REGISTERING and any(map(session.is_handle, call.args))

    def _is_method(self, call: ast.Call, session: Sessions) -> bool:
        match call.func:
            case ast.Attribute(value=owner) if session.is_handle(owner):
                return True
            case ast.Attribute(value=owner, attr=name) if name in _LEVELS:
                return last_name(owner).strip("_").lower() in _LOGS
            case ast.Attribute(attr=name) if name in _TELLING:
                return True
            case ast.Attribute(value=owner, attr=name) if name in _OF_DATA:
                return self.is_data(owner, session)
            case _:
                return False

    def _is_wrapper(self, call: ast.Call, session: Sessions) -> bool:
        """Say whether a call waits for what it is given, all of which is the connection's."""
        given = [one for one in call.args if not isinstance(one, ast.Constant)]
        is_named = isinstance(call.func, ast.Name | ast.Attribute) and last_name(call.func) in _WRAPPERS
        return (
            is_named
            and bool(given)
            and all(
                session.is_handle(one) or (isinstance(one, ast.Call) and self._is_seen(one, session)) for one in given
            )
        )

    def _is_seen(self, call: ast.Call, session: Sessions) -> bool:
        return self.is_harmless(call, session) or bool(self.users.names.functions(call))

    def _is_constructor(self, call: ast.Call) -> bool:
        """Say whether a call makes a record of a class of this module, which runs no code of its own."""
        match call.func:
            case ast.Name(id="cls") | ast.Call(func=ast.Name(id="type")):
                made = self.module.class_around(call)
            case ast.Name(id=name) if not self.module.bindings(name, call)[1]:
                made = self.module.classes.get(name)
            case _:
                made = None
        return made is not None and self._is_record(made, _DEEP)

    def _is_record(self, made: ast.ClassDef, deep: int) -> bool:
        methods = {one.name for one in made.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
        if not methods.isdisjoint(_MAKING) or made.keywords or not deep:
            return False
        if any(last_name(one) not in ("dataclass", "final", "total_ordering", "unique") for one in made.decorator_list):
            return False
        return all(self._is_base(base, deep) for base in made.bases)

    def _is_base(self, base: ast.expr, deep: int) -> bool:
        inner = self.module.classes.get(base.id) if isinstance(base, ast.Name) else None
        return last_name(base) in _RECORDS if inner is None else self._is_record(inner, deep - 1)

    def _is_raised(self, call: ast.Call) -> bool:
        return isinstance(self.module.parents[call], ast.Raise) and last_name(call.func)[:1].isupper()

    def _functions_given(self, call: ast.Call) -> list[ast.expr]:
        """Return the functions that a call is given, and calls."""
        name = last_name(call.func)
        if name not in _CALLING:
            return []
        first = [] if name in ("sorted", "min", "max") else call.args[:1]
        return [*first, *(one.value for one in call.keywords if one.arg in ("key", "func"))]

    def _is_function(self, node: ast.expr, call: ast.Call, session: Sessions) -> bool:
        """Say whether a function that is given to be called is harmless."""
        match node:
            case ast.Lambda(body=body):
                inner = (one for one in ast.walk(body) if isinstance(one, ast.Call))
                return all(self.is_harmless(one, session) for one in inner)
            case ast.Constant(value=None):
                return True
            case ast.Call():
                return True  # judged as a call
            case ast.Name() | ast.Attribute():
                made = self.module.made_call(node, [], call)
                return self._is_known(made) or self._is_constructor(made)
            case _:
                return False

    # -- data ---------------------------------------------------------------------------------------------------------

    def _is_deep(self, node: ast.expr, session: Sessions, deep: int) -> bool:
        """Say whether what is in a collection is data, too: rows, text, what is read of JSON; no clients, no caches."""
        match node:
            case _ if not deep:
                return False
            case ast.Constant() | ast.JoinedStr():
                return True
            case _ if session.is_derived(node):
                return True
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                return all(self._is_deep(one, session, deep - 1) for one in parts)
            case ast.Dict(values=parts):
                return all(self._is_deep(one, session, deep - 1) for one in parts)
            case ast.Subscript(value=inner) | ast.Await(value=inner):
                return self._is_deep(inner, session, deep - 1)
            case ast.Call():
                known = (self.module.qualified(node.func) or "").partition(".")[0]
                if known in ("json", "orjson", "os", "sys", "datetime", "re") or last_name(node.func) in _TELLING:
                    return self.is_harmless(node, session)
                return self._is_known(node) and all(self._is_deep(one, session, deep - 1) for one in node.args)
            case ast.Name(id=name):
                found = self.module.bindings(name, node)[1]
                values = [one.value for one in found]
                return bool(found) and all(one is not None and self._is_deep(one, session, deep - 1) for one in values)
            case _:
                return self.module.qualified(node) in ("os.environ", "sys.argv")

    def _is_named(self, node: ast.Name, session: Sessions, deep: int) -> bool:
        _, found = self.module.bindings(node.id, node)
        return self._are_bound(found, session, deep)

    def _is_kept(self, node: ast.Attribute, session: Sessions, deep: int) -> bool:
        """Say whether an attribute of the object is data wherever it is set."""
        if self.module.qualified(node) in ("os.environ", "sys.argv"):
            return True
        if not isinstance(node.value, ast.Name) or node.value.id not in ("self", "cls"):
            return False
        return self._are_bound(self.module.attribute_bindings(node.attr, node), session, deep)

    def _is_row(self, owner: ast.expr, session: Sessions) -> bool:
        """Say whether an attribute is a column of a row that the connection gave."""
        match owner:
            case ast.Name(id=name):
                found = self.module.bindings(name, owner)[1]
                values = [one.value for one in found if one.kind == "element" and one.value is not None]
                return bool(found) and len(values) == len(found) and all(map(session.is_derived, values))
            case _:
                return False

    def _are_bound(self, found: list[Binding], session: Sessions, deep: int) -> bool:
        """Say whether a name is bound to data, and to nothing else; that it grows does not tell of what it is."""
        bound = [one for one in found if one.kind not in ("item", "items")]
        return bool(bound) and all(self._is_bound(one, session, deep - 1) for one in bound)

    def _is_bound(self, binding: Binding, session: Sessions, deep: int) -> bool:
        if binding.kind != "parameter":
            if binding.value is None or binding.kind not in ("value", "element"):
                return False
            is_whole = binding.kind == "value" and not binding.path
            return (self.is_data if is_whole else self._is_deep)(binding.value, session, deep)
        arguments = self.module.parents.get(binding.node)
        if isinstance(arguments, ast.arguments) and binding.node in (arguments.vararg, arguments.kwarg):
            return True
        if isinstance(binding.node, ast.arg) and binding.node.annotation is not None:
            return all(name in _ANNOTATED for name in _outermost(binding.node.annotation))
        values = self.users.given(binding)
        return bool(values) and all(self.is_data(value, session, deep) for value in values or ())


def _outermost(annotation: ast.expr) -> Iterator[str]:
    """Yield the names of the types that an annotation allows, without what they contain."""
    match annotation:
        case ast.BinOp(left=left, right=right, op=ast.BitOr()):
            yield from _outermost(left)
            yield from _outermost(right)
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            yield from _outermost(inner)
        case ast.Subscript(value=value):
            yield last_name(value)
        case ast.Constant(value=str() as text):
            yield text.partition("[")[0]
        case ast.Constant(value=None):
            yield "None"
        case _:
            yield last_name(annotation)
