"""Tools that a model may call, one LangChain tool per file; `registry` makes the enabled ones."""
