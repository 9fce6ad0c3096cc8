"""Inform: what an answer claims, held against sources after it was written."""
