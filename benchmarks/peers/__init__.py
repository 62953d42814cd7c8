"""Code that the cases are compared with: published formulas, rewritten."""
