"""Files for DAWs and music languages: scripts, a control surface, a class, a patch; and what they call."""
