"""What is kept of conversations and of the people in them."""
