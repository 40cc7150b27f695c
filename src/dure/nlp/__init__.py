"""Ready-made Executors for text."""
