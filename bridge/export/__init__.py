"""What lands beside the stems: time stamps in them, sessions that a DAW opens, and a report."""
