"""The outside door of a Flow: queues, scheduling, protocols."""
