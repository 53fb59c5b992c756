"""What can be checked before anything goes wrong: the settings, the state, and what is around."""
