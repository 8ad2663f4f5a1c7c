"""What protects people: finding personal data in text. Knows text only."""
