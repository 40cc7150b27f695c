"""What users subclass, and how a class is found and constructed."""
