"""Storage: where recordings lie."""
