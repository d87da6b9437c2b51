"""Verifies what was rewritten, judges a phase on evidence, and enters it in the ledger."""
