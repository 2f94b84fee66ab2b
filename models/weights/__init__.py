"""Weight files that ship with the package; each name ends in eight hex digits of its SHA-256."""
