"""The doors: thin functions that say who may call, with what, and which service answers."""
