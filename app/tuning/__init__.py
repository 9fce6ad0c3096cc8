"""Tuning: people's corrections and documents become a better model, on this machine."""
