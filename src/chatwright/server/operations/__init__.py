"""What keeps a server running and lets others watch it: logs, metrics, health, backups. Knows no room's rules."""
