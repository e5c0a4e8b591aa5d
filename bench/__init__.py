"""Benchmarks: how much time and memory the engine itself takes."""
