def view(c, t): return c
