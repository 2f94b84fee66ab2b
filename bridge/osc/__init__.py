"""The OSC server: a DAW names sounds, soundlasso answers."""
