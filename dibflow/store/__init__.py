"""Keep layers and step records: what is finished, on disk, whole or not at all."""
