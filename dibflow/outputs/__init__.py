"""Write the files that a user asked for, from a disk image, a tree or layers."""
