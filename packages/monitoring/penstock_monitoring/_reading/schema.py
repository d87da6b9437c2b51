"""The JSON schema of a snapshot, as it is in `data/snapshot.schema.json`."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["SCHEMA"]

_NUMBER: Final = {"type": "number"}
_NUMBER_OR_NOT: Final = {"type": ["number", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_TEXT: Final = {"type": "string"}
_MODE: Final = {"enum": ["off", "observe", "enforce"]}


def _object(properties: dict[str, Any], about: str, *, more: Any = False) -> dict[str, Any]:
    return {
        "type": "object",
        "description": about,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": more,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_SECONDS_OF_LOOP = dict.fromkeys(("p50", "p99", "max", "stalled"), _NUMBER)
_VALUE = {"type": ["number", "string", "null"]}

SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What penstock_monitoring sees at one moment",
    "$defs": {
        "task": _object(
            {"children": _list({"$ref": "#/$defs/task"})},
            "A task, or what holds tasks, with what its manager tells of it.",
            more=_VALUE,
        )
    },
    **_object(
        {
            "version": {"const": 1, "description": "Of this format; fields may be added to it."},
            "at": _NUMBER | {"description": "When, in Unix seconds."},
            "process": _object(
                {
                    "pid": _COUNT,
                    "started": _NUMBER,
                    "interval": _NUMBER,
                    "window": _NUMBER,
                    "threshold": _NUMBER,
                    "samples": _COUNT,
                    "unreadable": _COUNT,
                    "version": _TEXT,
                    "python": _TEXT,
                },
                "The process; `interval` and `window` of its samples in seconds, and the `threshold`: the share of a "
                "limit from which on it is nearly used up.",
            ),
            "resources": _list(
                _object(
                    {
                        "kind": _TEXT,
                        "name": _TEXT,
                        "mode": {"anyOf": [_MODE, {"type": "null"}]},
                        "values": {"type": "object", "additionalProperties": _VALUE},
                    },
                    "A resource and the fields of its statistics; seconds where they are times.",
                )
            ),
            "utilisation": _list(
                _object(
                    {
                        "kind": _TEXT,
                        "name": _TEXT,
                        "points": _list(
                            {"type": "array", "prefixItems": [_NUMBER, _NUMBER], "minItems": 2, "maxItems": 2}
                        ),
                    },
                    "How much of a limit was in use: Unix seconds, and the share.",
                )
            ),
            "loops": _list(
                _object(
                    {"loop": _TEXT, **_SECONDS_OF_LOOP, "samples": _COUNT},
                    "How late an event loop woke the monitor, in seconds, over its window, and at this moment.",
                )
            ),
            "tasks": _list({"$ref": "#/$defs/task"}),
            "threads": _object({"alive": _COUNT, "daemon": _COUNT}, "Threads of the process."),
            "capabilities": {"type": "object", "additionalProperties": _MODE},
            "alerts": _list(
                _object(
                    {
                        "name": _TEXT,
                        "severity": {"enum": ["critical", "warning"]},
                        "kind": _TEXT,
                        "resource": _TEXT,
                        "state": {"enum": ["active", "resolved"]},
                        "value": _NUMBER_OR_NOT,
                        "limit": _NUMBER,
                        "since": _NUMBER,
                        "until": _NUMBER_OR_NOT,
                        "summary": _TEXT,
                        "runbook": _TEXT,
                    },
                    "What is amiss, or was until lately: which rule says it, of what, since and until when in Unix "
                    "seconds, and which section of the documentation says what to do. Infinite values are null.",
                )
            ),
        },
        "Everything at one moment.",
    ),
}
