"""What evaluations found, for administrators to compare; knows reports as files, and runs none."""
