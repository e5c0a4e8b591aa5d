"""The machine that builds: what it must have, and whether it has it.

`tools` reads the list of programs, `capabilities` tries what the kernel allows, `examination` puts
both together as values that ``dibflow doctor`` prints.
"""
