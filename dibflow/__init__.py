"""Build operating-system disk images from diskimage-builder elements as a Luigi graph."""
