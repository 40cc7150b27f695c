"""What travels: documents, arrays of them, and their columnar form."""
