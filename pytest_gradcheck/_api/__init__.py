"""The public functions: arguments in, report out."""
