"""Deployment packages: reading hostile zips, extracting them, keeping them, handing them out again."""
