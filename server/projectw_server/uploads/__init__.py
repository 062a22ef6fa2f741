"""Uploads: receiving recordings of any size with bounded memory."""
