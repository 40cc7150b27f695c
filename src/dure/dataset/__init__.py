"""Labelled and tagged texts: read from files as people have them, checked, split, and told of before training."""
