"""Event source mappings: `domain` (what one may be), `patterns` (what its filters may be). None can exist yet."""
