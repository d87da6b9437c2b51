"""Phase 2, modernization: the rules that end deprecated and mixed concurrency, and leaks."""
