"""What runs the cases: mutants, the oracle, the checkers and the tables."""
