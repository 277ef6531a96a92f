"""The `lambent` command: arguments to a Config or to AWS calls, answers to the terminal. No logic of its own."""
