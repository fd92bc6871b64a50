"""What a run will take, and what held one up: simulated with the scheduler that really runs it."""
