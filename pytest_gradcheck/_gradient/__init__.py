"""Checks of one number by its parameters: one by one, or along random directions."""
