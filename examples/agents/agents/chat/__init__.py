"""Chat: a conversation with tools."""
