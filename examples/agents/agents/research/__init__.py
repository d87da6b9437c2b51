"""Research: one question, many documents, one report."""
