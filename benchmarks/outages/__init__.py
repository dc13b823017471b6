"""What a task loses when what it runs on is killed: rounds, stakes, and seconds until everybody is back."""
