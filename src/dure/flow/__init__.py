"""Compose Executors into a service."""
