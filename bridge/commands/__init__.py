"""The sub-commands of `soundlasso`, one file each; `bridge.cli` puts them together."""
