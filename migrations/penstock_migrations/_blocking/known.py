"""What is known to block: functions and methods of the standard library and of HTTP libraries."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "FACTORIES",
    "FILE_METHODS",
    "FUNCTIONS",
    "HTTP_LIBRARIES",
    "METHODS",
    "SDK_CLASSES",
    "SDK_LOCAL",
    "SDK_METHODS",
    "is_among",
]

_VERBS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request"})
_REQUESTS_LIKE = ("requests", "requests.api", "niquests", "curl_cffi.requests", "curl_cffi")
_HTTPX_LIKE = ("httpx", "httpx2")
_RUNNERS = ("run", "call", "check_call", "check_output", "getoutput", "getstatusoutput")

# Functions by their qualified name, and what kind of blocking they do.
FUNCTIONS: dict[str, str] = (
    {f"{library}.{verb}": "http" for library in (*_REQUESTS_LIKE, *_HTTPX_LIKE) for verb in _VERBS}
    | {f"{library}.stream": "http" for library in _HTTPX_LIKE}
    | dict.fromkeys(("urllib.request.urlopen", "urllib.request.urlretrieve", "urllib3.request"), "http")
    | {f"subprocess.{name}": "process" for name in _RUNNERS}
    | dict.fromkeys(("os.system", "os.wait", "os.waitpid", "psutil.wait_procs"), "process")
    | {"time.sleep": "sleep", "open": "file", "io.open": "file"}
)

_SESSION = _VERBS | {"send"}
_CLIENT = _VERBS | {"send", "stream"}
_POOL = frozenset({"request", "urlopen", "request_encode_body", "request_encode_url"})
_CONNECTION = frozenset({"connect", "getresponse"})
_INFERENCE = frozenset({"chat_completion", "feature_extraction", "text_generation", "text_to_image", "text_to_speech"})
_CHILD = frozenset({"wait", "communicate"})

# Methods by the class, or the function that makes the object, and what kind of blocking they do.
METHODS: dict[str, tuple[str, frozenset[str]]] = (
    dict.fromkeys(
        (
            "requests.Session",
            "requests.session",
            "requests.sessions.Session",
            "requests_cache.CachedSession",
            "requests_oauthlib.OAuth2Session",
            "google.auth.transport.requests.AuthorizedSession",
            "cloudscraper.create_scraper",
            "niquests.Session",
            "curl_cffi.requests.Session",
            "curl_cffi.Session",
        ),
        ("http", _SESSION),
    )
    | {f"{library}.Client": ("http", _CLIENT) for library in _HTTPX_LIKE}
    | dict.fromkeys(
        (
            "urllib3.PoolManager",
            "urllib3.ProxyManager",
            "urllib3.poolmanager.PoolManager",
            "urllib3.HTTPConnectionPool",
            "urllib3.HTTPSConnectionPool",
            "urllib3.connection_from_url",
        ),
        ("http", _POOL),
    )
    | dict.fromkeys(("http.client.HTTPConnection", "http.client.HTTPSConnection"), ("http", _CONNECTION))
    | {"urllib.request.build_opener": ("http", frozenset({"open"}))}
    | dict.fromkeys(("subprocess.Popen", "psutil.Popen"), ("process", _CHILD))
    | {"psutil.Process": ("process", frozenset({"wait"}))}
    | {"huggingface_hub.InferenceClient": ("sdk", _INFERENCE)}
    | {"tavily.TavilyClient": ("sdk", frozenset({"search", "extract", "crawl", "map", "qna_search"}))}
)

# Vendors' synchronous clients: their methods do HTTP, at any depth of `client.chat.completions.create`.
SDK_CLASSES = frozenset(
    {
        "anthropic.Anthropic",
        "anthropic.AnthropicBedrock",
        "anthropic.AnthropicVertex",
        "boto3.client",
        "boto3.resource",
        "groq.Groq",
        "openai.AzureOpenAI",
        "openai.OpenAI",
        "together.Together",
    }
)
SDK_METHODS = frozenset({"create", "parse", "stream", "generate", "retrieve", "list", "delete", "upload", "edit"})
# What a boto client does without a request.
SDK_LOCAL = frozenset(
    {"can_paginate", "close", "generate_presigned_post", "generate_presigned_url", "get_paginator", "get_waiter"}
)

# Methods of some objects make others: `boto3.Session().client("s3")`.
FACTORIES = {
    f"{session}.{kind}": f"boto3.{kind}"
    for session in ("boto3.Session", "boto3.session.Session")
    for kind in ("client", "resource")
}

FILE_METHODS = frozenset({"read_text", "read_bytes", "write_text", "write_bytes"})

HTTP_LIBRARIES = frozenset(name.partition(".")[0] for name in (*FUNCTIONS, *METHODS, *SDK_CLASSES)) - {
    "io",
    "open",
    "os",
    "psutil",
    "subprocess",
    "time",
}


def is_among(name: str, listed: Iterable[str]) -> bool:
    """Say whether a qualified name is one of some functions, or part of one of some classes and modules.

    To make an object of a class blocks nothing.
    """
    is_class = name.rpartition(".")[2][:1].isupper()
    return any((name == one and not is_class) or name.startswith(f"{one}.") for one in listed)
