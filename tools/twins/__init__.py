"""What plays the other side: standard library only, run by the scripts beside this folder."""
