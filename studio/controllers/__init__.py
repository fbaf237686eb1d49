"""What happens when the user asks for something."""
