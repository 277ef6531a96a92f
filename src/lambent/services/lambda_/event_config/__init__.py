"""How asynchronous events of functions are treated: `domain` (values), `store` (rows), `changes`, `directory`."""
