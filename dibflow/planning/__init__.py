"""Decide what to do: elements, hooks, order and keys, without any effect on the machine."""
