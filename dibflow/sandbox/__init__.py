"""Run one hook in namespaces of its own over a stack of layers."""
