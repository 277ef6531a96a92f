"""Resource policies: `domain` (statements), `store` (rows), `changes` (how one changes), `decisions` (who may)."""
