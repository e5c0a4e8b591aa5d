"""Build the same elements with diskimage-builder and with dibflow, and compare what comes out.

``python -m bench.parity debian-minimal`` builds with both, in one run, and prints every difference:
those of ``explained.yaml`` with their reason, and those that have none, which make it fail.
"""
