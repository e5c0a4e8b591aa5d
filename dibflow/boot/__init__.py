"""Start an image in a virtual machine, and tell whether it came up.

`table` reads a partition table, `image` an image file, `firmware` chooses BIOS or EFI,
`acceleration` tries whether KVM runs a guest, `command` puts qemu's command line together, `guest`
runs it and watches its console.
"""
