"""Find mistakes in elements before a build does: rules over the files of one element."""
