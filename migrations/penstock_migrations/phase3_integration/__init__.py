"""Phase 3, integration: the rules that end bypassed breakers and retries in lockstep."""
