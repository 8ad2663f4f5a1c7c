"""One training loop, and the stages that run on it: a stage is data, an objective and defaults."""
