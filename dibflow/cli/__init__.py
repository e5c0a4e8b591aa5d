"""The command line: each command a module that parses, calls the library and prints."""
