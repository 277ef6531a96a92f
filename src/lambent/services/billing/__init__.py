"""What invocations would cost on AWS: a ledger per function, version and day."""
