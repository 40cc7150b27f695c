"""The inside of one replica: the program that hosts an Executor."""
