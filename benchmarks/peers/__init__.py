"""What the cases are compared with: published formulas, written anew."""
