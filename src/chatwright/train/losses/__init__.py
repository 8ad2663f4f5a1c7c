"""Losses as pure functions of log-probabilities, rewards and values: no model, no batch, no setting is known here."""
