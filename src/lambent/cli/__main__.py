"""`python -m lambent.cli`."""

from lambent.cli.main import app

app()
