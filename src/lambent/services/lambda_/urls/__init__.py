"""Function URLs: `domain` (values, ids, addresses), `store` (rows), `directory` (by id, in memory, for the door)."""
