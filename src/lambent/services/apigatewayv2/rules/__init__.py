"""What AWS accepts of each noun of an HTTP API, and its words where it does not: pure functions, no I/O."""
