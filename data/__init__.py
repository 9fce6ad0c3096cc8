"""What comes along: the sample handbook, its questions, prompts, chains, the model catalogue."""
