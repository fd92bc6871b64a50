"""Many answers into one: votes, reliabilities without labels, medoids, rankings, cascades."""
