"""The whole journey on a copy of examples/agents: audit, codemod, verify, gate, and load before and after."""
