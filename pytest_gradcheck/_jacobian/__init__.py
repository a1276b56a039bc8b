"""Checks of many numbers by their parameters: row by row, or along random combinations."""
