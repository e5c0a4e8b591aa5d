"""Describe disks as values: what a configuration asks for, how large it gets, how it is made."""
