"""The words by which retries, and what only looks like them, are known where names are all there is to see."""

from __future__ import annotations

import re

__all__ = ["ABSENT", "COUNTER", "HEADER", "LIMITED", "LOCAL_CALLS", "LOCAL_ERRORS", "RETRY", "STATUS", "WAITING"]

# Names and texts of what is tried again.
RETRY = re.compile(r"retr(y|ies|ied)|attempt|(^|_)tries|(^|_)try(_|$)|back_?off|reconnect", re.IGNORECASE)
COUNTER = re.compile(r"attempt|retr(y|ies)|tries|(^|_)try(_|$)|failures|errors?_count|^[in]$|^count$", re.IGNORECASE)
# Functions that wait for something, or come back to it now and then.
WAITING = re.compile(
    r"(^|_)(wait|await|poll|polling|watch|watchdog|watcher|monitor|heartbeat|keep_?alive|health|healthy|healthcheck|ready"
    r"|readiness|alive|probe|tail|periodic|periodically|schedule|scheduler|idle|until|eventually|ensure_running|start_?up"
    r"|sync_loop|run_forever|is_up|status|throttle|rate_limit|ping)(_|$)",
    re.IGNORECASE,
)
# Errors that mean "not yet" or "nothing there".
ABSENT = re.compile(
    r"(^|\.|_)(Queue)?Empty|NotFound|NotReady|NotYet|NoSuch|DoesNotExist|InProgress|Pending|Cancelled|Blocking|WouldBlock"
    r"|StopIteration|KeyboardInterrupt|Assertion|Locked|LockError|NotEnough"
)
LOCAL_ERRORS = frozenset(
    {"BlockingIOError", "EOFError", "FileExistsError", "FileNotFoundError", "IOError", "IsADirectoryError"}
    | {"JSONDecodeError", "OSError", "OperationalError", "PermissionError", "ProcessLookupError", "WindowsError"}
)
LOCAL_CALLS = frozenset(
    {"chmod", "copy", "copyfile", "copytree", "flock", "link", "makedirs", "mkdir", "move", "open", "read_bytes"}
    | {"read_text", "remove", "rename", "replace", "rmdir", "rmtree", "stat", "symlink", "touch", "unlink", "write_bytes"}
    | {"write_text", "lockf", "locking", "scandir", "listdir", "killpg", "Popen", "NamedTemporaryFile"}
)
STATUS = re.compile(r"status(_code)?$|^code$|retryable|should_retry|is_retr|rate_?limit|too_many_requests|throttl", re.IGNORECASE)
LIMITED = re.compile(r"RateLimit|TooManyRequests|TOO_MANY_REQUESTS|rate_limited|RATE_LIMIT", re.IGNORECASE)
HEADER = re.compile(r"retry[_-]?after|rate[_-]?limit[_-]?reset|reset[_-]?(at|time|in|after)", re.IGNORECASE)
