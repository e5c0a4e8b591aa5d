"""Carry a plan out: one step at a time, each committed to the store."""
