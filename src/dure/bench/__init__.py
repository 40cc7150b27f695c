"""Measurements that a person can read: devices, arrays, and the encoding of sentences."""
