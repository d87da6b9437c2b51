"""Phase 1, stabilization: the rules that end unbounded fan-out, connections without a pool, and unowned threads."""
