"""What is wrong with a run, or over: rules, their settings, and the file that tells which were true once."""
