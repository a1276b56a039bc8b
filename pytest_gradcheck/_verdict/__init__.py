"""Analytic, numeric and error bar → agree, disagree or inconclusive: each rule once."""
