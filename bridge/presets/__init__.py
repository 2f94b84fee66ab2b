"""Presets: whole jobs in one TOML file each, read, checked, found by name and turned into boards."""
