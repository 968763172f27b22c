"""Timings of functrans beside JAX, each workload in fresh processes."""
