"""Research, retrieval and chat agents over one model provider."""
