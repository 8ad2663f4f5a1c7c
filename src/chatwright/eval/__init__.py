"""How good a model is: tasks, graders, a runner and a report. Knows models and text; knows nothing of training."""
