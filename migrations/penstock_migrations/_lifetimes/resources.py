"""`Resource`: what must be closed, by the qualified name that makes it."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.tree import walk

__all__ = ["CLIENTS", "CLOSERS", "EXECUTORS", "FILES", "Kind", "Resource", "made", "managed"]


class Kind(enum.Enum):
    """What a resource is, as far as it matters who closes it."""

    CLIENT = "client"
    SOCKET = "socket"
    FILE = "file"
    EXECUTOR = "executor"


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that must be closed.

    Attributes:
        kind: What it is.
        closer: The method that closes it.
        lasting: It is meant to live as long as the process, often by way of what is made of it: advice only.
        open_after_with: A `with` over it ends a transaction and leaves it open.
    """

    kind: Kind
    closer: str
    lasting: bool = False
    open_after_with: bool = False


# The methods that end a resource, or take it out of hand.
CLOSERS = frozenset(
    {"close", "aclose", "close_all", "closeall", "aclose_all", "wait_closed", "shutdown", "dispose", "disconnect"}
    | {"quit", "stop", "terminate", "detach", "cleanup", "logout", "kill", "__exit__", "__aexit__"}
)

_IN_MEMORY = frozenset({"MockTransport", "ASGITransport", "WSGITransport"})


def _table(kind: Kind, closer: str, names: str, *, lasting: bool = False, loose: bool = False) -> dict[str, Resource]:
    return dict.fromkeys(names.split(), Resource(kind, closer, lasting, loose))


CLIENTS: dict[str, Resource] = (
    _table(
        Kind.CLIENT,
        "close",
        "aiohttp.ClientSession aiohttp.client.ClientSession requests.Session requests.session"
        " requests.sessions.Session httpx.Client httpx2.Client redis.Redis redis.StrictRedis redis.from_url"
        " redis.client.Redis redis.Redis.from_url redis.StrictRedis.from_url redis.RedisCluster"
        " redis.cluster.RedisCluster redis.RedisCluster.from_url asyncpg.create_pool asyncpg.connect"
        " aiopg.create_pool aiopg.connect aiomysql.create_pool aiomysql.connect psycopg_pool.ConnectionPool"
        " psycopg_pool.AsyncConnectionPool psycopg.connect psycopg.Connection.connect"
        " psycopg.AsyncConnection.connect pymysql.connect MySQLdb.connect"
        " mysql.connector.connect pyodbc.connect aiosqlite.connect duckdb.connect snowflake.connector.connect"
        " clickhouse_connect.get_client websockets.connect websockets.client.connect websockets.sync.client.connect"
        " websocket.create_connection grpc.insecure_channel grpc.secure_channel grpc.aio.insecure_channel"
        " grpc.aio.secure_channel aio_pika.connect aio_pika.connect_robust nats.connect smtplib.SMTP_SSL smtplib.SMTP"
        " ftplib.FTP imaplib.IMAP4_SSL paramiko.SSHClient",
    )
    | _table(
        Kind.CLIENT,
        "aclose",
        "httpx.AsyncClient httpx2.AsyncClient redis.asyncio.Redis redis.asyncio.StrictRedis redis.asyncio.from_url"
        " redis.asyncio.client.Redis redis.asyncio.Redis.from_url redis.asyncio.RedisCluster"
        " redis.asyncio.cluster.RedisCluster aioredis.from_url aioredis.Redis.from_url",
    )
    | _table(
        Kind.CLIENT,
        "disconnect",
        "redis.ConnectionPool redis.ConnectionPool.from_url redis.BlockingConnectionPool"
        " redis.BlockingConnectionPool.from_url redis.asyncio.ConnectionPool redis.asyncio.ConnectionPool.from_url"
        " redis.asyncio.BlockingConnectionPool redis.asyncio.BlockingConnectionPool.from_url"
        " redis.asyncio.connection.ConnectionPool redis.asyncio.connection.ConnectionPool.from_url",
    )
    | _table(Kind.CLIENT, "stop", "aiokafka.AIOKafkaProducer aiokafka.AIOKafkaConsumer")
    | _table(Kind.CLIENT, "closeall", "psycopg2.pool.SimpleConnectionPool psycopg2.pool.ThreadedConnectionPool")
    | _table(Kind.CLIENT, "close", "sqlite3.connect psycopg2.connect", loose=True)
    | _table(
        Kind.CLIENT,
        "close",
        "pymongo.MongoClient pymongo.AsyncMongoClient motor.motor_asyncio.AsyncIOMotorClient"
        " neo4j.GraphDatabase.driver neo4j.AsyncGraphDatabase.driver",
        lasting=True,
    )
    | _table(
        Kind.CLIENT,
        "dispose",
        "sqlalchemy.create_engine sqlalchemy.engine.create_engine sqlalchemy.ext.asyncio.create_async_engine",
        lasting=True,
    )
    | _table(Kind.SOCKET, "close", "socket.socket socket.create_connection socket.create_server")
)
FILES: dict[str, Resource] = _table(
    Kind.FILE,
    "close",
    "open io.open codecs.open gzip.open bz2.open lzma.open tarfile.open zipfile.ZipFile os.fdopen aiofiles.open"
    " tempfile.NamedTemporaryFile tempfile.TemporaryFile tempfile.SpooledTemporaryFile pathlib.Path.open",
)
EXECUTORS: dict[str, Resource] = _table(
    Kind.EXECUTOR,
    "shutdown",
    "concurrent.futures.ThreadPoolExecutor concurrent.futures.ProcessPoolExecutor"
    " concurrent.futures.thread.ThreadPoolExecutor concurrent.futures.process.ProcessPoolExecutor",
) | _table(Kind.EXECUTOR, "terminate", "multiprocessing.Pool multiprocessing.pool.Pool multiprocessing.pool.ThreadPool")


def managed(names: Iterable[str]) -> dict[str, Resource]:
    """Return what the project's own classes are, by the names it lists."""
    return dict.fromkeys(names, Resource(Kind.CLIENT, "close"))


def made(module: Module, resources: Mapping[str, Resource]) -> Iterator[tuple[ast.Call, str, Resource]]:
    """Yield the calls that make a resource, with the name they call."""
    for call in module.calls_of(*(name.rpartition(".")[2] for name in resources)):
        name = _called(module, call)
        if name in resources and not _is_borrowing(module, call):
            yield call, name, resources[name]


def _called(module: Module, call: ast.Call) -> str:
    match call.func:
        case ast.Name(id="open") if "open" not in module.imports and _is_builtin(module, call.func):
            return "open"
        case ast.Attribute(attr="open", value=ast.Call() as path) if module.qualified(path.func) == "pathlib.Path":
            return "pathlib.Path.open"
        case _:
            return module.qualified(call.func) or ""


def _is_builtin(module: Module, name: ast.Name) -> bool:
    return not module.bindings(name.id, name)[1] and not module.function_named(name.id, name)


def _is_borrowing(module: Module, call: ast.Call) -> bool:
    """Say whether a client opens no connection of its own: `transport=httpx.MockTransport(...)`, `=self._transport`."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    owner = given.get("connector_owner")
    if isinstance(owner, ast.Constant) and owner.value is False:
        return True
    if "connection_pool" in given:
        return True  # the pool is what must be closed
    transport = given.get("transport")
    return transport is not None and (_is_shared(module, transport) or bool(_names(transport) & _IN_MEMORY))


def _is_shared(module: Module, node: ast.expr) -> bool:
    """Say whether an expression stands for something that others use too: closing the client would close it."""
    if isinstance(node, ast.Name):
        scope, found = module.bindings(node.id, node)
        return isinstance(scope, ast.Module) or any(binding.kind == "parameter" for binding in found)
    return isinstance(node, ast.Attribute)


def _names(node: ast.expr) -> set[str]:
    return {last_name(one) for one in walk(node) if isinstance(one, ast.Name | ast.Attribute)}
