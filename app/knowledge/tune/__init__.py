"""Retrieval tuned on one's own documents: questions, trials, and the recipe that won."""
