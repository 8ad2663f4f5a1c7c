"""What a stage can minimise, one module each."""
