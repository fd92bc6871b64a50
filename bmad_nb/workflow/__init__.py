"""What a definition is made of: its values, its parts, the model, and the names that it reads."""
