"""A Flow written for engines that start containers: Kubernetes and compose."""
