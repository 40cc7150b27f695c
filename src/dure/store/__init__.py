"""Models on disk: versions, and names for them."""
