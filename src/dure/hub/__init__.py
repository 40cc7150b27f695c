"""Executor bundles."""
