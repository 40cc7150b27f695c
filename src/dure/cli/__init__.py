"""The dure command."""
