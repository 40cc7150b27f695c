"""What learns from texts: classifiers and taggers, how they are trained, and how good they are."""
