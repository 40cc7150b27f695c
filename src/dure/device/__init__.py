"""Where arrays live: contexts, what exists, arrays and models, what moving costs."""
