"""What runs in a training process of its own; it alone imports torch."""
