"""What the nodes of all graphs share."""
