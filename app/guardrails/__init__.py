"""Rails around the model: what must not come in, be said, or be kept."""
