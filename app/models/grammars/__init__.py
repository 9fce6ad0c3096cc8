"""What a text must conform to: schemas, patterns and choices as grammars, obeyed token by token."""
