"""Phase 1, emergency stabilization: the rules that end unbounded fan-out."""
