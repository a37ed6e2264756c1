"""`sstrack demo`: the whole story on embedded defaults."""
