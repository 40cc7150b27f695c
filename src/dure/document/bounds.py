"""How deep, and of how many axes, what travels may be. Knows nothing else, so that everybody may know it."""

MAX_JSON_DEPTH = 100
"""How deep lists and dicts may stand within each other in what is read as JSON."""

MAX_NESTING = 8
"""How deep chunks and matches may be nested in documents that travel."""

MAX_AXES = 32
"""Of how many axes an array that travels may be: numpy had no more before 2.0."""
