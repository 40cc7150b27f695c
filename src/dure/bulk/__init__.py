"""An Executor over a file of rows that is larger than memory: one output row for each input row, resumable."""
