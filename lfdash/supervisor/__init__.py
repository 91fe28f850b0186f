"""The tiny parent of one run: a program of its own, with the standard library only."""
