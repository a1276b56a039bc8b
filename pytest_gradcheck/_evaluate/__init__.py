"""The only place where func is called: counted, bounded, side by side."""
