"""Training and prediction as a service: jobs that survive, models that are held ready, and how both are asked for."""
