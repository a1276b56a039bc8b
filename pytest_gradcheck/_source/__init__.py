"""Which lines of the user's code made an array: what is executed, statement by statement."""
