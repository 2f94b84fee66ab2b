"""The bridge to music software: files, effects, presets, live audio and OSC."""
