"""The words by which threads, and what ends them, are known."""

from __future__ import annotations

from penstock_migrations._code.vocabulary import TEARDOWN, mentions

__all__ = [
    "ENDING_METHODS",
    "ENTERING",
    "KILLING",
    "PIPES",
    "READING",
    "RUNNING",
    "SENTINELS",
    "STOPPING",
    "WARMING",
    "is_teardown",
]


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MORE_TEARDOWN = TEARDOWN | _vocabulary(
    "abort del destroy deactivate detach end exit finalize finish halt interrupt join kill leave quit teardown unload"
    " disable stopped uninstall unregister"
)
ENDING_METHODS = frozenset({"__exit__", "__aexit__", "__del__", "call_soon_threadsafe"})
PIPES = _vocabulary("stdout stderr stdin pipe process proc popen fd tty pty")
READING = frozenset({"read", "readline", "readlines", "read1", "iter_lines"})
RUNNING = _vocabulary(
    "run_forever serve_forever run_until_complete serve run start listen start_consuming accept recv recvfrom"
    " select poll handle_request process_request main_loop mainloop loop_forever get_message consume"
)
ENTERING = frozenset({"enter_context", "enter_async_context", "closing", "aclosing"})
STOPPING = _vocabulary("stop shutdown cancel quit exit halt")
_REPLACING = frozenset(f"os.exec{form}" for form in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe"))
KILLING = _REPLACING | {
    "os._exit", "os.abort", "os.kill", "os.killpg", "signal.alarm", "signal.pthread_kill", "signal.raise_signal",
    "signal.setitimer", "_thread.interrupt_main",
}  # fmt: skip
SENTINELS = _vocabulary("sentinel stop done end exit quit shutdown eof poison pill close finish finished terminate")
WARMING = _vocabulary("warm warmup preload prefetch preheat prewarm import browser precompile")


def is_teardown(name: str) -> bool:
    """Say whether a function or method is there to end something, by its name."""
    return name in ENDING_METHODS or mentions(name, _MORE_TEARDOWN)
