"""The result of a check as a value, and its text, pictures, page and file."""
