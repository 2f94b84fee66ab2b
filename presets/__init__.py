"""The presets that ship: one TOML file each."""
