"""Losses that two or more methods train with."""
