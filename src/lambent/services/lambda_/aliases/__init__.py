"""Aliases: `domain` (values, routing rules), `store` (rows), `changes` (how one changes)."""
