"""Numeric derivatives with error bars; knows no analytic value and no verdict."""
