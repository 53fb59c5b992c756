"""The stand-in for the DACC, and for the cozy-stack in front of it."""
