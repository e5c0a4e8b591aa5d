"""Fixtures and markers that every test may use."""
